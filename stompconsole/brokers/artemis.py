"""ActiveMQ Artemis (seen: 2.44.0), on a stock acceptor and on one with the prefixes ``/queue/`` and ``/topic/``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from stompconsole.brokers.depths import OverHttp, OverStomp, artemis_management, jolokia
from stompconsole.brokers.dialect import BrokerKind, Dialect, NackMeans
from stompconsole.brokers.subscribing import TOPIC, Subscribe, Wanted, virtual_topic

BYTES_PER_MESSAGE = 2_048
"""What one message is taken to weigh: Artemis has no window in messages, only one in bytes."""

FULLY_QUALIFIED = "::"
"""Between an address and one of its queues, in a name that means this queue alone."""

QUEUE = "/queue/"


class Artemis(Dialect):
    """Needs to be told queue or topic, counts its window in bytes, takes a NACK for an ACK, and ends the connection
    with every ERROR."""

    kind: ClassVar[BrokerKind] = BrokerKind.ARTEMIS
    nack_means: ClassVar[NackMeans] = NackMeans.LOST
    # A message's own header "ack" comes before the broker's; the id is the same.
    ack_header: ClassVar[str] = "message-id"
    # It ends a connection after 60 s of silence, and counts a failed attempt for a message that was handed out on it.
    client_heartbeat_s: ClassVar[float] = 10.0
    error_ends_session: ClassVar[bool] = True
    acks_in_transactions: ClassVar[bool] = False
    selectors: ClassVar[bool] = True
    no_browse: ClassVar[str] = "Artemis shows no messages over STOMP without taking them; its web console can"
    durable_subscriptions: ClassVar[bool] = True
    duplicate_id_header: ClassVar[str | None] = "_AMQ_DUPL_ID"
    broker_headers: ClassVar[frozenset[str]] = frozenset(
        {
            "destination-type", "expires", "timestamp", "_AMQ_DUPL_ID", "_AMQ_ACTUAL_EXPIRY", "_AMQ_LARGE_SIZE",
            "_AMQ_SCHED_DELIVERY", "NATIVE_MESSAGE_ID",
        }
    )  # fmt: skip
    broker_header_prefixes: ClassVar[tuple[str, ...]] = ("_AMQ_ORIG_", "__AMQ_CID", "JMS_AMQP_")

    def subscribe(self, wanted: Wanted) -> Subscribe:
        address = _address(wanted.destination)
        headers = {"subscription-type": _routing(address), **_window(wanted)}
        if wanted.is_durable:
            headers["durable-subscription-name"] = wanted.subscriber
        return Subscribe(destination=address, headers=headers)

    def caveats(self, wanted: Wanted) -> tuple[str, ...]:
        if wanted.exclusive:
            return ("Artemis takes no word for exclusive: set default-exclusive-queue in its address settings.",)
        return ()

    def keeps(self, wanted: Wanted) -> str:
        own = self.own_address(wanted) if wanted.is_durable else _address(wanted.destination)
        topic, collects, queue = own.partition(FULLY_QUALIFIED)
        if not collects:
            return ""
        return (
            f"Artemis goes on collecting what is sent to {topic} in the queue {queue} until that is deleted:"
            f" in its web console under Queues, or by artemis queue delete --name '{queue}'."
        )

    def own_address(self, wanted: Wanted) -> str:
        if not wanted.is_durable:
            return super().own_address(wanted)
        # The queue of a durable subscription is called by client id and subscription, which are the same here.
        return f"{wanted.destination}{FULLY_QUALIFIED}{wanted.subscriber}.{wanted.subscriber}"

    def send_headers(self, destination: str) -> dict[str, str]:
        routing = self.route(destination)
        del routing["destination"]
        return {**super().send_headers(destination), **routing}

    def route(self, destination: str) -> dict[str, str]:
        address = _address(destination)
        if FULLY_QUALIFIED in address:
            # Of no kind: with the one that is not its queue's the message would be dropped, with a RECEIPT.
            return {"destination": address}
        return {"destination": address, "destination-type": _routing(address)}

    def refuses(self, destination: str) -> str:
        if FULLY_QUALIFIED in destination:
            return "Artemis takes :: for what is between an address and its queue: name the queue alone."
        if "?" in destination:
            return "Artemis takes no options in a name: what is behind the ? would be part of it."
        if not destination.startswith(TOPIC) and {"*", "#"} & set(destination.removeprefix(QUEUE).split(".")):
            return (
                "Artemis reads no queues by a pattern: it would make a queue of this name, which collects copies of"
                " what is sent to others for ever. Name one queue."
            )
        return ""

    def stable_id(self, headers: Mapping[str, str]) -> str:
        # consumer,server: only the second number is the message's own. A broker that has lost its data counts anew,
        # so with it goes when the message was sent, which stays the same as well.
        number = headers.get("message-id", "").partition(",")[2]
        return f"{number},{headers.get('timestamp', '')}" if number else ""

    def is_full(self, error: str) -> bool:
        # Over max-disk-usage.
        return "AMQ229119" in error

    def depths_over_http(self) -> OverHttp:
        return jolokia.read_artemis

    def depths_over_stomp(self) -> OverStomp:
        return artemis_management.read

    def origin(self, headers: Mapping[str, str]) -> str:
        address, queue = headers.get("_AMQ_ORIG_ADDRESS", ""), headers.get("_AMQ_ORIG_QUEUE", "")
        if headers.get("destination", "").removeprefix(QUEUE).removeprefix(TOPIC) == address.removeprefix(QUEUE):
            # Dead-lettered once more, out of the dead-letter queue: it says of itself that it comes from there.
            return ""
        return f"{address}{FULLY_QUALIFIED}{queue}" if queue not in {"", address} else address


def _address(destination: str) -> str:
    """The destination as Artemis has to be told it: the queue of a virtual topic is one on the topic's address, which
    gets a copy of what is sent there."""
    topic = virtual_topic(destination)
    if not topic:
        return destination
    prefix = TOPIC if destination.startswith(QUEUE) else ""
    return f"{prefix}{topic}{FULLY_QUALIFIED}{destination.removeprefix(QUEUE)}"


def _routing(address: str) -> str:
    return "MULTICAST" if address.startswith(TOPIC) or FULLY_QUALIFIED in address else "ANYCAST"


def _window(wanted: Wanted) -> dict[str, str]:
    if wanted.ack == "auto":
        # Only an ACK makes room in a window: once it were full nothing more would come.
        return {}
    # A window of 1 is exactly one message of any size; more is an estimate.
    size = 1 if wanted.prefetch == 1 else wanted.prefetch * BYTES_PER_MESSAGE
    return {"consumer-window-size": str(size)}

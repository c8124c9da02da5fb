"""ActiveMQ Classic (seen: 5.17.2, 5.18.3, 6.3.1)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from stompconsole.brokers.depths import OverHttp, OverStomp, jolokia, statistics
from stompconsole.brokers.dialect import BrokerKind, Dialect, NackMeans
from stompconsole.brokers.subscribing import TOPIC, Subscribe, Wanted, virtual_topic


class ActiveMQ(Dialect):
    """Dead-letters what is NACKed, if it is persistent; message-ids stay the same into its DLQ."""

    kind: ClassVar[BrokerKind] = BrokerKind.ACTIVEMQ
    nack_means: ClassVar[NackMeans] = NackMeans.DEAD_LETTERED
    # A SEND with a receipt is forced to the disk by itself, one in a transaction with its COMMIT.
    transacts_sends: ClassVar[bool] = True
    stable_message_id: ClassVar[bool] = True
    selectors: ClassVar[bool] = True
    glance: ClassVar[Mapping[str, str]] = {"browser": "true", "activemq.prefetchSize": "1"}
    # Without a prefetch: with one no more comes than that, and no end.
    browse: ClassVar[Mapping[str, str]] = {"browser": "true"}
    durable_subscriptions: ClassVar[bool] = True
    one_connection_per_subscriber: ClassVar[bool] = True
    usual_body_limit: ClassVar[int | None] = 100 * 2**20
    silence: ClassVar[str] = "its memory or its store may be full"
    broker_headers: ClassVar[frozenset[str]] = frozenset(
        {
            "dlqDeliveryFailureCause", "expires", "original-destination", "originalDeliveryMode", "originalExpiration",
            "redeliveryDelay", "scheduledJobId", "timestamp",
        }
    )  # fmt: skip

    def subscribe(self, wanted: Wanted) -> Subscribe:
        headers = {"activemq.prefetchSize": str(wanted.prefetch)}
        if wanted.exclusive:
            headers["activemq.exclusive"] = "true"
        if wanted.is_durable:
            # Refused for a queue.
            headers["activemq.subscriptionName"] = wanted.subscriber
        return Subscribe(destination=wanted.destination, headers=headers)

    def cannot(self, wanted: Wanted, instances: int) -> str:
        if wanted.is_durable and instances != 1:
            return "ActiveMQ takes one connection of each durable subscriber: set instances to 1."
        return ""

    def caveats(self, wanted: Wanted) -> tuple[str, ...]:
        found = []
        if wanted.exclusive and wanted.is_topic:
            found.append("Exclusive has no effect on a topic of ActiveMQ: every subscriber gets every message.")
        if (words := _words_before(wanted.destination)) > 1:
            found.append(
                "A queue of a virtual topic is filled by ActiveMQ if there is one word between Consumer. and"
                f" .VirtualTopic.: here are {words}, so nothing will come unless the broker is set up for that."
            )
        return tuple(found)

    def keeps(self, wanted: Wanted) -> str:
        if wanted.is_durable:
            return (
                f"ActiveMQ goes on keeping what is sent to {wanted.destination} for its durable subscriber"
                f" {wanted.subscriber} until that is deleted: in its web console under Subscribers, where client id and"
                " subscription have this name."
            )
        if _words_before(wanted.destination) == 1:
            topic = virtual_topic(wanted.destination)
            return (
                f"ActiveMQ goes on collecting what is sent to {TOPIC}{topic} in {wanted.destination} until that queue"
                " is deleted: in its web console under Queues."
            )
        return ""

    def refuses(self, destination: str) -> str:
        return "ActiveMQ takes a comma for several destinations: name one." if "," in destination else ""

    def is_full(self, error: str) -> bool:
        # What each of its limits (store, memory, temporary store) ends in, where sendFailIfNoSpace is set.
        return "to prevent flooding" in error

    def has_rolled_back(self, error: str) -> bool:
        # Not "STORE COMMIT FAILED: Transaction rolled back": what a store holds that failed in it is not known.
        return "Transaction marked rollback only" in error

    def depths_over_http(self) -> OverHttp:
        return jolokia.read_classic

    def depths_over_stomp(self) -> OverStomp:
        return statistics.read

    def origin(self, headers: Mapping[str, str]) -> str:
        return headers.get("original-destination", "")


def _words_before(destination: str) -> int:
    """How many words a virtual topic's queue has between ``Consumer.`` and ``.VirtualTopic.``; 0 if it is none."""
    topic = virtual_topic(destination)
    return destination.removesuffix(f".{topic}").partition("Consumer.")[2].count(".") + 1 if topic else 0

"""RabbitMQ with its STOMP plugin (seen: 3.10.8)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar

from stompconsole.brokers.depths import OverHttp, rabbitmq_api
from stompconsole.brokers.dialect import BrokerKind, Dialect, NackMeans
from stompconsole.brokers.subscribing import TOPIC, Otherwise, Subscribe, Wanted, virtual_topic

MAX_QUEUE_NAME_BYTES = 255


class RabbitMQ(Dialect):
    """Declares queues by SUBSCRIBE and SEND, requeues what is NACKed, names no frame in its ERRORs."""

    kind: ClassVar[BrokerKind] = BrokerKind.RABBITMQ
    nack_means: ClassVar[NackMeans] = NackMeans.REQUEUED
    error_carries_receipt_id: ClassVar[bool] = False
    sending_declares: ClassVar[bool] = True
    durable_subscriptions: ClassVar[bool] = True
    # max_frame_size of 3.13.7 and later; older ones take any size.
    usual_body_limit: ClassVar[int | None] = 4 * 2**20
    silence: ClassVar[str] = "it may be in a memory or disk alarm"
    no_browse: ClassVar[str] = (
        "RabbitMQ shows no messages over STOMP without taking them; its management page can get some of them back into"
        " the queue, which marks them as redelivered"
    )
    depths_need: ClassVar[str] = (
        "RabbitMQ tells it by its management API alone: give the broker's management URL in the admin"
    )
    broker_headers: ClassVar[frozenset[str]] = frozenset({"x-death", "x-delivery-count"})
    # A second death does not overwrite x-first-death-*: sent again they would name the wrong queue.
    broker_header_prefixes: ClassVar[tuple[str, ...]] = ("x-first-death-", "x-last-death-")

    def subscribe(self, wanted: Wanted) -> Subscribe:
        headers = {"prefetch-count": str(wanted.prefetch), **dict(wanted.declared)}
        if topic := _collected(wanted):
            # The queue is bound to the topic; it stays when nobody reads it, and several subscriptions share it.
            headers |= {"x-queue-name": _queue(wanted), "durable": "true", "auto-delete": "false"}
            return Subscribe(destination=topic, headers=headers)
        if wanted.exclusive:
            headers["exclusive"] = "true"
        return Subscribe(destination=wanted.destination, headers=headers)

    def cannot(self, wanted: Wanted, instances: int) -> str:
        if not _collected(wanted):
            lone = wanted.exclusive and not wanted.is_topic and instances != 1
            return "RabbitMQ gives an exclusive queue to one connection: set instances to 1." if lone else ""
        if wanted.exclusive:
            return (
                "RabbitMQ deletes an exclusive queue when its connection ends, with what waits in it:"
                " what is to be kept for a subscriber of a topic can't be exclusive."
            )
        length = len(_queue(wanted).encode())
        if length > MAX_QUEUE_NAME_BYTES:
            return (
                f"RabbitMQ would keep the messages in a queue {_queue(wanted)}, a name of {length} bytes:"
                f" {MAX_QUEUE_NAME_BYTES} are allowed. Shorten the client id or the destination."
            )
        return ""

    def caveats(self, wanted: Wanted) -> tuple[str, ...]:
        if not wanted.exclusive:
            return ()
        if wanted.is_topic:
            return ("Exclusive has no effect on a topic: every subscription has a queue of its own.",)
        said = (
            f"On RabbitMQ an exclusive queue belongs to one connection: a SEND to {wanted.destination} by any other is"
            " refused, a replay too, and when the connection ends the queue goes with what is in it."
        )
        return (said,)

    def keeps(self, wanted: Wanted) -> str:
        topic, queue = _collected(wanted), _queue(wanted)
        if not topic:
            return ""
        return (
            f"RabbitMQ goes on collecting what is sent to {topic} in the queue {queue} until that is deleted:"
            f" on its management page under Queues, or by rabbitmqctl delete_queue '{queue}'."
        )

    def forgets(self, wanted: Wanted) -> str:
        if wanted.exclusive and not wanted.is_topic:
            return "RabbitMQ deletes an exclusive queue when its connection ends, with what waits in it."
        return super().forgets(wanted)

    def own_address(self, wanted: Wanted) -> str:
        return f"/queue/{_spelt(_queue(wanted))}" if wanted.is_durable else super().own_address(wanted)

    def remedy(self, wanted: Wanted, error: str) -> str:
        if "RESOURCE_LOCKED" not in error:
            return ""
        if not wanted.exclusive:
            return "Another connection has this queue for itself: it is exclusive there."
        return (
            "Either another connection has this exclusive queue: it is free when that one ends."
            " Or the queue exists and is not exclusive: delete it, or take exclusive out of the consumer."
        )

    def otherwise(self, wanted: Wanted, error: str) -> Otherwise | None:
        queue, topic = _queue(wanted), _collected(wanted)
        if not _clash(queue, error):
            return None
        if topic and not wanted.declared and "'x-dead-letter-" in error:
            # As django-stomp declared it: asked for like that it is also bound, should it not have been.
            remark = f"{queue} was declared with a dead-letter queue of RabbitMQ's own: used as it is"
            return Otherwise(wanted=replace(wanted, declared=_of_django_stomp(queue)), remark=remark)
        # /amq/queue/ never declares; the queue exists, else there were no clash.
        other = f"/amq/queue/{_spelt(queue)}"
        remark = f"{wanted.destination} was declared by someone else: used as {other}"
        bound = f", which gets what is sent to {topic} only if someone has bound it" if topic else ""
        return Otherwise(wanted=replace(wanted, destination=other, declared=()), remark=remark + bound)

    def nack_headers(self) -> dict[str, str]:
        return {"requeue": "false"}

    def refuses(self, destination: str) -> str:
        if not destination.startswith("/"):
            return ""
        kind, _, name = destination[1:].removeprefix("amq/").partition("/")
        if kind not in {"queue", "topic", "exchange"}:
            return "RabbitMQ knows /queue/…, /topic/…, /exchange/…/… and /amq/queue/… only."
        if kind != "exchange" and "/" in name:
            spelt = destination.removesuffix(name) + name.replace("/", "%2F")
            return f"RabbitMQ takes no slash inside a name: write {spelt}"
        return ""

    def origin(self, headers: Mapping[str, str]) -> str:
        queue = headers.get("x-first-death-queue", "")
        return f"/queue/{queue}" if queue else ""

    def depths_over_http(self) -> OverHttp:
        return rabbitmq_api.read

    def undeclared(self, destination: str, error: str) -> str | None:
        # /amq/queue/ never declares; the queue exists, else there were no clash, so nothing sent there is dropped.
        name = destination.removeprefix("/queue/")
        return f"/amq/queue/{name}" if not name.startswith("/") and _clash(_unspelt(name), error) else None


def _collected(wanted: Wanted) -> str:
    """The topic whose messages a queue keeps for this subscription; empty if it is of no such kind."""
    if wanted.is_durable:
        return wanted.destination
    # /amq/queue/ is the spelling of a queue that exists, and is bound, already.
    topic = "" if wanted.destination.startswith("/amq/queue/") else virtual_topic(wanted.destination)
    return f"{TOPIC}{topic}" if topic else ""


def _queue(wanted: Wanted) -> str:
    """The name of the queue that this subscription reads, as RabbitMQ has it."""
    if wanted.is_durable:
        # No client id holds a colon: one subscriber's queue of one topic, and nobody's /queue/… by chance.
        return f"{wanted.subscriber}:{_unspelt(wanted.destination.removeprefix(TOPIC))}"
    return _unspelt(wanted.destination.removeprefix("/queue/"))


def _spelt(queue: str) -> str:
    """A queue's name as a destination spells it. Only there: x-queue-name is taken as it stands."""
    return queue.replace("/", "%2F")


def _unspelt(name: str) -> str:
    return name.replace("%2F", "/")


def _clash(queue: str, error: str) -> bool:
    return "inequivalent arg" in error and f"for queue '{queue}' " in error


def _of_django_stomp(queue: str) -> tuple[tuple[str, str], ...]:
    return (("x-dead-letter-exchange", ""), ("x-dead-letter-routing-key", f"DLQ.{queue}"))

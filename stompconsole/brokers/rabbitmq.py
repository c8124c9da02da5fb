"""RabbitMQ with its STOMP plugin (seen: 3.10.8)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from stompconsole.brokers.dialect import BrokerKind, Dialect, NackMeans
from stompconsole.brokers.subscribing import TOPIC, Subscribe, Wanted, virtual_topic


class RabbitMQ(Dialect):
    """Declares queues by SUBSCRIBE and SEND, requeues what is NACKed, names no frame in its ERRORs."""

    kind: ClassVar[BrokerKind] = BrokerKind.RABBITMQ
    nack_means: ClassVar[NackMeans] = NackMeans.REQUEUED
    error_carries_receipt_id: ClassVar[bool] = False
    broker_headers: ClassVar[frozenset[str]] = frozenset({"x-death", "x-delivery-count"})
    # A second death does not overwrite x-first-death-*: sent again they would name the wrong queue.
    broker_header_prefixes: ClassVar[tuple[str, ...]] = ("x-first-death-", "x-last-death-")

    def subscribe(self, wanted: Wanted) -> Subscribe:
        headers = {"prefetch-count": str(wanted.prefetch)}
        if wanted.exclusive:
            headers["exclusive"] = "true"
        if wanted.subscriber and wanted.is_topic:
            # A queue of the subscriber's own, bound to the topic; its slots share it.
            name = f"{wanted.subscriber}.{wanted.destination.removeprefix(TOPIC)}"
            headers |= {"x-queue-name": name, "durable": "true", "auto-delete": "false"}
        elif topic := _virtual_topic(wanted.destination):
            name = wanted.destination.removeprefix("/queue/")
            headers |= {"x-queue-name": name, "durable": "true", "auto-delete": "false"}
            return Subscribe(destination=TOPIC + topic, headers=headers)
        return Subscribe(destination=wanted.destination, headers=headers)

    def cannot(self, wanted: Wanted, instances: int) -> str:
        if wanted.exclusive and instances != 1:
            return "RabbitMQ gives an exclusive queue to one connection: set instances to 1."
        return ""

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

    def undeclared(self, destination: str, error: str) -> str | None:
        # /amq/queue/ never declares; the queue exists, else there were no clash, so nothing sent there is dropped.
        name = destination.removeprefix("/queue/")
        clash = "inequivalent arg" in error and f"for queue '{name}' " in error
        return f"/amq/queue/{name}" if clash and name != destination else None


def _virtual_topic(destination: str) -> str:
    # /amq/queue/ is the spelling of a queue that exists, and is bound, already.
    return "" if destination.startswith("/amq/queue/") else virtual_topic(destination)

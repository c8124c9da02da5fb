"""ActiveMQ Artemis (seen: 2.44.0)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from stompconsole.brokers.dialect import BrokerKind, Dialect, NackMeans
from stompconsole.brokers.subscribing import Subscribe, Wanted

BYTES_PER_MESSAGE = 2_048
"""What one message is taken to weigh: Artemis has no window in messages, only one in bytes."""


class Artemis(Dialect):
    """Needs to be told queue or topic, counts its window in bytes, and takes a NACK for an ACK."""

    kind: ClassVar[BrokerKind] = BrokerKind.ARTEMIS
    nack_means: ClassVar[NackMeans] = NackMeans.LOST
    selectors: ClassVar[bool] = True
    duplicate_id_header: ClassVar[str | None] = "_AMQ_DUPL_ID"
    broker_headers: ClassVar[frozenset[str]] = frozenset(
        {"destination-type", "expires", "timestamp", "_AMQ_DUPL_ID", "_AMQ_ACTUAL_EXPIRY", "_AMQ_SCHED_DELIVERY"}
    )
    broker_header_prefixes: ClassVar[tuple[str, ...]] = ("_AMQ_ORIG_", "__AMQ_CID")

    def subscribe(self, wanted: Wanted) -> Subscribe:
        # A window of 1 is exactly one message of any size; more is an estimate.
        window = 1 if wanted.prefetch == 1 else wanted.prefetch * BYTES_PER_MESSAGE
        headers = {"subscription-type": _routing(wanted.destination), "consumer-window-size": str(window)}
        if wanted.subscriber and wanted.is_topic:
            headers["durable-subscription-name"] = wanted.subscriber
        return Subscribe(destination=wanted.destination, headers=headers)

    def cannot(self, wanted: Wanted, instances: int) -> str:
        if wanted.exclusive:
            return "Artemis takes no word for exclusive: set default-exclusive-queue in its address settings."
        return ""

    def send_headers(self, destination: str) -> dict[str, str]:
        return {**super().send_headers(destination), "destination-type": _routing(destination)}

    def origin(self, headers: Mapping[str, str]) -> str:
        return headers.get("_AMQ_ORIG_ADDRESS", "")


def _routing(destination: str) -> str:
    return "MULTICAST" if destination.startswith("/topic/") else "ANYCAST"

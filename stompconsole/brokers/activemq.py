"""ActiveMQ Classic (seen: 5.17.2, 5.18.3, 6.3.1)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from stompconsole.brokers.dialect import BrokerKind, Dialect, NackMeans


class ActiveMQ(Dialect):
    """Dead-letters what is NACKed, if it is persistent; message-ids stay the same into its DLQ."""

    kind: ClassVar[BrokerKind] = BrokerKind.ACTIVEMQ
    nack_means: ClassVar[NackMeans] = NackMeans.DEAD_LETTERED
    stable_message_id: ClassVar[bool] = True
    selectors: ClassVar[bool] = True
    broker_headers: ClassVar[frozenset[str]] = frozenset(
        {
            "dlqDeliveryFailureCause", "expires", "original-destination", "originalDeliveryMode", "originalExpiration",
            "redeliveryDelay", "scheduledJobId", "timestamp",
        }
    )  # fmt: skip

    def subscribe_headers(self, destination: str, prefetch: int) -> dict[str, str]:
        return {"activemq.prefetchSize": str(prefetch)}

    def refuses(self, destination: str) -> str:
        return "ActiveMQ takes a comma for several destinations: name one." if "," in destination else ""

    def origin(self, headers: Mapping[str, str]) -> str:
        return headers.get("original-destination", "")

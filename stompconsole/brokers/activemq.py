"""ActiveMQ Classic (seen: 5.17.2, 5.18.3, 6.3.1)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from stompconsole.brokers.dialect import BrokerKind, Dialect, NackMeans
from stompconsole.brokers.subscribing import Subscribe, Wanted


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

    def subscribe(self, wanted: Wanted) -> Subscribe:
        headers = {"activemq.prefetchSize": str(wanted.prefetch)}
        if wanted.exclusive:
            headers["activemq.exclusive"] = "true"
        if wanted.subscriber and wanted.is_topic:
            headers["activemq.subscriptionName"] = wanted.subscriber
        return Subscribe(destination=wanted.destination, headers=headers)

    def cannot(self, wanted: Wanted, instances: int) -> str:
        if wanted.subscriber and wanted.is_topic and instances != 1:
            return "ActiveMQ takes one connection of each durable subscriber: set instances to 1."
        return ""

    def refuses(self, destination: str) -> str:
        return "ActiveMQ takes a comma for several destinations: name one." if "," in destination else ""

    def origin(self, headers: Mapping[str, str]) -> str:
        return headers.get("original-destination", "")

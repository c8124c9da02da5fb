"""The contract of a dialect: plain STOMP 1.2 as far as it goes, and the flags on which brokers differ."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import ClassVar

from stompconsole.brokers.subscribing import Subscribe, Wanted

PERSISTENT = {"persistent": "true"}

_NEVER_SENT_AGAIN = frozenset(
    {
        "ack", "destination", "message-id", "receipt", "receipt-id", "redelivered", "session",
        "subscription", "transaction", "persistent",
    }
)  # fmt: skip
"""Headers that belong to one delivery: brokers leak, double or choke on them in a SEND (BROKERS.md 1, 15)."""


class BrokerKind(enum.StrEnum):
    """Kinds of broker an operator can choose; AUTO goes by the ``server`` header of CONNECTED."""

    AUTO = "auto"
    RABBITMQ = "rabbitmq"
    ACTIVEMQ = "activemq"
    ARTEMIS = "artemis"
    GENERIC = "generic"

    @property
    def label(self) -> str:
        return _LABELS[self]


_LABELS = {
    BrokerKind.AUTO: "automatic",
    BrokerKind.RABBITMQ: "RabbitMQ",
    BrokerKind.ACTIVEMQ: "ActiveMQ Classic",
    BrokerKind.ARTEMIS: "ActiveMQ Artemis",
    BrokerKind.GENERIC: "plain STOMP 1.2",
}


class NackMeans(enum.Enum):
    """What becomes of a message the client NACKs."""

    REQUEUED = "requeued at once"
    DEAD_LETTERED = "dead-lettered by the broker if persistent, else lost"
    LOST = "removed as if ACKed"
    UNKNOWN = "not known"


class Dialect:
    """Plain STOMP 1.2; a broker's dialect overrides what it does otherwise."""

    kind: ClassVar[BrokerKind] = BrokerKind.GENERIC

    nack_means: ClassVar[NackMeans] = NackMeans.UNKNOWN
    """What NACK does to a message."""

    error_carries_receipt_id: ClassVar[bool] = True
    """Whether an ERROR names the frame it answers; if not, any frame in flight may be meant."""

    stable_message_id: ClassVar[bool] = False
    """Whether message-id stays the same over redeliveries."""

    selectors: ClassVar[bool] = False
    """Whether SUBSCRIBE honours ``selector``."""

    duplicate_id_header: ClassVar[str | None] = None
    """A SEND header that makes the broker drop a second SEND with the same value."""

    broker_headers: ClassVar[frozenset[str]] = frozenset()
    """Headers the broker makes that must not be sent again."""

    broker_header_prefixes: ClassVar[tuple[str, ...]] = ()
    """The same, by how their names begin."""

    def subscribe(self, wanted: Wanted) -> Subscribe:
        """The SUBSCRIBE for what is wanted; what ``cannot`` names is left out.

        STOMP has no word for the prefetch; the development broker and others take RabbitMQ's, the rest ignore it.
        """
        return Subscribe(destination=wanted.destination, headers={"prefetch-count": str(wanted.prefetch)})

    def cannot(self, wanted: Wanted, instances: int) -> str:
        """What of this the broker can't do for so many subscriptions at once, in words; empty if it can all of it."""
        if wanted.subscriber and wanted.is_topic:
            return "Plain STOMP 1.2 has no durable subscriptions: what is sent while no worker listens is not kept."
        if wanted.exclusive:
            return "Plain STOMP 1.2 has no exclusive subscriptions: every subscription gets its share."
        return ""

    def send_headers(self, destination: str) -> dict[str, str]:
        """Headers of SEND for a message that must live: always persistent, never ``persistent:false``."""
        return dict(PERSISTENT)

    def resend_headers(self, headers: Mapping[str, str]) -> dict[str, str]:
        """The team's headers of a received message: what may be sent again, broker-made ones taken out."""
        return {
            name: value
            for name, value in headers.items()
            if name not in _NEVER_SENT_AGAIN
            and name not in self.broker_headers
            and not name.startswith(self.broker_header_prefixes or ("\0",))
        }

    def nack_headers(self) -> dict[str, str]:
        """Headers of a NACK that is meant to dead-letter."""
        return {}

    def refuses(self, destination: str) -> str:
        """Why the broker can't have a destination of this name, with the spelling that works; empty if it can."""
        return ""

    def origin(self, headers: Mapping[str, str]) -> str:
        """Where a message dead-lettered by the broker itself came from; empty if its headers don't say."""
        return ""

    def undeclared(self, destination: str, error: str) -> str | None:
        """The same destination spelt so that the broker does not declare it anew, when ``error`` says that it
        exists with other properties; else None."""
        return None

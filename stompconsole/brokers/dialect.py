"""The contract of a dialect: plain STOMP 1.2 as far as it goes, and the flags on which brokers differ."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import ClassVar

from stompconsole.brokers.depths import OverHttp, OverStomp
from stompconsole.brokers.subscribing import TOPIC, Otherwise, Subscribe, Wanted, virtual_topic

PERSISTENT = {"persistent": "true"}

_NEVER_SENT_AGAIN = frozenset(
    {
        "ack", "destination", "message-id", "receipt", "receipt-id", "redelivered", "session",
        "subscription", "transaction", "persistent", "x-dead-letter-exchange", "x-dead-letter-routing-key",
    }
)  # fmt: skip
"""Headers that belong to one delivery: brokers leak, double or choke on them in a SEND (BROKERS.md 1, 15).

The last two are what django-stomp gave every message, on any broker: RabbitMQ stores them, and in a SEND to another
queue they would declare that one with the dead-letter queue of the first.
"""


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

    ack_header: ClassVar[str] = "ack"
    """The header of a MESSAGE that holds what its ACK names."""

    client_heartbeat_s: ClassVar[float] = 0.0
    """How often to be heard of, in seconds, where the row says never and the broker ends silent connections all the
    same; 0 where it lets them be."""

    error_ends_session: ClassVar[bool] = False
    """Whether the broker closes the connection after every ERROR, and not only after some."""

    sending_declares: ClassVar[bool] = False
    """Whether a SEND declares its queue, and ends the connection when that exists with other properties."""

    acks_in_transactions: ClassVar[bool] = True
    """Whether an ACK in a transaction waits for its COMMIT; if not, an ABORT loses the message."""

    transacts_sends: ClassVar[bool] = False
    """Whether SENDs in a transaction are stored together by its COMMIT, at the cost of one, or none of them is."""

    stable_message_id: ClassVar[bool] = False
    """Whether message-id stays the same over redeliveries."""

    selectors: ClassVar[bool] = False
    """Whether SUBSCRIBE honours ``selector``."""

    durable_subscriptions: ClassVar[bool] = False
    """Whether a subscription to a topic can be durable, so that messages wait for it."""

    one_connection_per_subscriber: ClassVar[bool] = False
    """Whether a durable subscriber can be connected only once, whatever the topic."""

    glance: ClassVar[Mapping[str, str]] = {}
    """SUBSCRIBE headers that show a copy of a queue's first message, whoever holds it, or a MESSAGE with the header
    ``browser:end`` when there is none; empty where there is no such thing."""

    browse: ClassVar[Mapping[str, str]] = {}
    """SUBSCRIBE headers that show copies of all messages of a queue in mode auto, and then one with the header
    ``browser:end``; empty where there is no such thing."""

    no_browse: ClassVar[str] = "plain STOMP 1.2 has no way to look into a queue: whoever subscribes takes messages out"
    """Why messages can't be looked at in the broker, where that is so."""

    depths_need: ClassVar[str] = "plain STOMP 1.2 has no word for how much waits in a queue"
    """What it takes to read depths, where neither of the ways to do so is there."""

    duplicate_id_header: ClassVar[str | None] = None
    """A SEND header that makes the broker drop a second SEND with the same value."""

    usual_body_limit: ClassVar[int | None] = None
    """Bytes of a body the broker takes unless its settings say otherwise; None where there is no limit to speak of."""

    silence: ClassVar[str] = "it may be blocked or full"
    """What a broker may have that goes on beating and confirms nothing."""

    broker_headers: ClassVar[frozenset[str]] = frozenset()
    """Headers the broker makes that must not be sent again."""

    broker_header_prefixes: ClassVar[tuple[str, ...]] = ()
    """The same, by how their names begin."""

    def subscribe(self, wanted: Wanted) -> Subscribe:
        """The SUBSCRIBE for what is wanted; what the broker has no word for is left out.

        STOMP has no word for the prefetch; the development broker and others take RabbitMQ's, the rest ignore it.
        """
        return Subscribe(destination=wanted.destination, headers={"prefetch-count": str(wanted.prefetch)})

    def cannot(self, wanted: Wanted, instances: int) -> str:
        """Why this can't work with so many subscriptions at once, in words; empty if it can. 0 is one per worker."""
        return ""

    def caveats(self, wanted: Wanted) -> tuple[str, ...]:
        """What of this is taken but has no effect, or another than one may think, a sentence each."""
        if wanted.is_durable:
            return ("Plain STOMP 1.2 has no durable subscriptions: what is sent while no worker listens is not kept.",)
        if wanted.exclusive:
            return ("Plain STOMP 1.2 has no exclusive subscriptions: every subscription gets its share.",)
        if topic := virtual_topic(wanted.destination):
            return (f"Plain STOMP 1.2 has no virtual topics: what is sent to {TOPIC}{topic} is not copied here.",)
        return ()

    def keeps(self, wanted: Wanted) -> str:
        """What the broker goes on collecting for a subscriber of a topic that is gone for good, and how to end that,
        in words; empty if nothing."""
        return ""

    def forgets(self, wanted: Wanted) -> str:
        """Why messages are lost when a subscription leaves for a while, in words; empty if they wait for it."""
        if not wanted.is_topic or (wanted.is_durable and self.durable_subscriptions):
            return ""
        if wanted.is_durable:
            return "Plain STOMP 1.2 has no durable subscriptions: what is sent while no worker listens is not kept."
        return "What is sent to a topic while nobody listens is lost, unless its subscription is durable."

    def own_address(self, wanted: Wanted) -> str:
        """Where a message is sent to reach the subscriptions of this consumer and nobody else; empty if only the
        topic is known, of which every subscriber gets a copy."""
        return "" if wanted.is_topic else wanted.destination

    def remedy(self, wanted: Wanted, error: str) -> str:
        """What to do about a SUBSCRIBE that was refused with ``error``; empty if the broker's words say it all."""
        return ""

    def otherwise(self, wanted: Wanted, error: str) -> Otherwise | None:
        """Another way to ask for the same when ``error`` says that its queue exists with other properties;
        else None."""
        return None

    def send_headers(self, destination: str) -> dict[str, str]:
        """Headers of SEND for a message that must live: always persistent, never ``persistent:false``."""
        return dict(PERSISTENT)

    def route(self, destination: str) -> dict[str, str]:
        """The headers of a SEND that say where it goes, its ``destination`` among them; added to every one."""
        return {"destination": destination}

    def resend_headers(self, headers: Mapping[str, str]) -> dict[str, str]:
        """The team's headers of a received message: what may be sent again, broker-made ones taken out."""
        return {
            name: value
            for name, value in headers.items()
            if name not in _NEVER_SENT_AGAIN
            and name not in self.broker_headers
            and not name.startswith(self.broker_header_prefixes or ("\0",))
        }

    def stable_id(self, headers: Mapping[str, str]) -> str:
        """What names a received message however often this broker gives it; empty where nothing does."""
        return headers.get("message-id", "") if self.stable_message_id else ""

    def nack_headers(self) -> dict[str, str]:
        """Headers of a NACK that is meant to dead-letter."""
        return {}

    def refuses(self, destination: str) -> str:
        """Why the broker can't have a destination of this name, with the spelling that works; empty if it can."""
        return ""

    def origin(self, headers: Mapping[str, str]) -> str:
        """Where a message dead-lettered by the broker itself came from; empty if its headers don't say."""
        return ""

    def depths_over_http(self) -> OverHttp | None:
        """How its management API is asked for the depth of queues; None where there is none."""
        return None

    def depths_over_stomp(self) -> OverStomp | None:
        """How a session is asked for the depth of queues; None where that can't be."""
        return None

    def is_full(self, error: str) -> bool:
        """Whether ``error`` says that the broker takes no message now, whichever it is."""
        return False

    def has_rolled_back(self, error: str) -> bool:
        """Whether ``error``, the answer to a COMMIT, says that nothing of its transaction was stored."""
        return False

    def undeclared(self, destination: str, error: str) -> str | None:
        """The same destination of a SEND spelt so that the broker does not declare it anew, when ``error`` says that
        it exists with other properties; else None."""
        return None

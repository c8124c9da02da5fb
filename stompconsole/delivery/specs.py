"""What should run, as frozen values: the only form in which a definition reaches a thread.

Owns the vocabularies of a definition (ack mode, codec, dead-letter way). Refuses Django: rows become
these values at one door, ``Model.spec()``, and "must it restart?" is ``old != new``.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field

from stompconsole.brokers.subscribing import Wanted
from stompconsole.transport.session import Endpoint, Login

DEFAULT_PREFETCH = 100
DEFAULT_RECEIPT_TIMEOUT_S = 10.0
DEFAULT_RECONNECT_PAUSE_S = 10.0
DEFAULT_FAILBACK_CHECK_S = 15.0
DEFAULT_PROBE_S = 30.0


class AckMode(enum.StrEnum):
    """The ``ack`` header of SUBSCRIBE (STOMP 1.2, SUBSCRIBE)."""

    AUTO = "auto"
    CLIENT = "client"
    CLIENT_INDIVIDUAL = "client-individual"


class Codec(enum.StrEnum):
    """How a body becomes ``payload.body``."""

    JSON = "json"
    TEXT = "text"
    BYTES = "bytes"
    BY_CONTENT_TYPE = "content-type"


class DeadLetterVia(enum.StrEnum):
    """How a message that is given up on leaves: our SEND + RECEIPT + ACK, or the broker's NACK."""

    SEND = "send"
    NACK = "nack"


class Failback(enum.StrEnum):
    """What a session on the standby does when the primary answers again."""

    STAY = "stay"
    RETURN = "return"


class Purpose(enum.StrEnum):
    """What a subscription is for: handling a consumer's messages, or capturing its dead letters."""

    CONSUME = "consume"
    CAPTURE = "capture"


class SubscriptionState(enum.StrEnum):
    """What a subscription is doing: the one vocabulary of rows, pages and metrics."""

    STARTING = "starting"
    RUNNING = "running"
    DRAINING = "draining"
    BACKING_OFF = "backing off"
    BROKEN = "broken"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerSpec:
    """Where a broker is and how to log in. Times in seconds; ``endpoints`` primary first.

    ``reconnect_pause_s`` is the longest pause between two attempts to connect; ``failback_check_s`` how often the
    primary is tried while a session is on the standby and is to return.
    """

    name: str
    endpoints: tuple[Endpoint, ...]
    kind: str = "auto"
    login: Login = field(default_factory=Login)
    heartbeat_send_s: float = 10.0
    heartbeat_receive_s: float = 10.0
    connect_timeout_s: float = 10.0
    receipt_timeout_s: float = DEFAULT_RECEIPT_TIMEOUT_S
    dead_letter_via: DeadLetterVia = DeadLetterVia.SEND
    reconnect_pause_s: float = DEFAULT_RECONNECT_PAUSE_S
    failback: Failback = Failback.STAY
    failback_check_s: float = DEFAULT_FAILBACK_CHECK_S


LONGEST_HELD_S = 900.0
"""The longest wait in a worker, whatever is asked for: RabbitMQ ends a channel that holds a message un-acked for half
an hour, and with it all that its worker has in hand."""

PARKED_ABOVE_S = 60.0
"""A longer wait is not for the worker, where a message counts against the prefetch and may keep others away."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parking:
    """How messages that have to wait long leave the worker, to be sent back when they are due: those that would wait
    longer than ``above_s``, and those whose attempts are used up, once for each of ``steps_s`` seconds."""

    above_s: float = PARKED_ABOVE_S
    steps_s: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """How often a failing message is tried, and how long it waits between: exponential with jitter.

    ``max_attempts`` counts the first one. The wait before attempt n+1 is
    ``min(max_delay_s, first_delay_s * factor ** (n - 1))``, taken at random from its upper half. Without ``parking``
    nothing could bring a message back, so that all waits are in the worker.
    """

    max_attempts: int = 1
    first_delay_s: float = 1.0
    factor: float = 2.0
    max_delay_s: float = 60.0
    parking: Parking | None = None


class Quoting(enum.Enum):
    """What may be said of an error where it is stored and no rule of redaction can look at it."""

    MESSAGE = "its type and its message"
    TYPE = "its type alone"


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerPolicy:
    """When a subscription pauses itself: after ``in_a_row`` failures, or when more than ``percent`` of the last
    messages failed; 0 is never. ``probe_s`` seconds later one message is tried; each time it fails that doubles.
    ``quoting`` is what its reason may say of the last failure."""

    in_a_row: int = 0
    percent: int = 0
    probe_s: float = DEFAULT_PROBE_S
    quoting: Quoting = Quoting.MESSAGE

    @property
    def on(self) -> bool:
        """Whether it can ever happen."""
        return bool(self.in_a_row or self.percent)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsumerSpec:
    """One consumer's definition, whole. ``headers`` are extra SUBSCRIBE headers.

    ``durable`` keeps a topic's messages while no worker listens, under ``subscriber``. ``client_id`` and
    ``subscription_id`` are what django-stomp called STOMP_LISTENER_CLIENT_ID and STOMP_SUBSCRIPTION_ID.
    """

    name: str
    broker: BrokerSpec
    destination: str
    handler: str
    ack_mode: AckMode = AckMode.CLIENT_INDIVIDUAL
    threads: int = 1
    prefetch: int = DEFAULT_PREFETCH
    codec: Codec = Codec.JSON
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    breaker: BreakerPolicy = field(default_factory=BreakerPolicy)
    dead_letter_destination: str = ""
    correlation_id_required: bool = False
    durable: bool = False
    exclusive: bool = False
    client_id: str = ""
    subscription_id: str = ""
    headers: tuple[tuple[str, str], ...] = ()

    @property
    def subscriber(self) -> str:
        """The name of the durable subscription; empty for none."""
        return durable_name(self.client_id or self.name) if self.durable else ""

    @property
    def dead_letters(self) -> str:
        """The dead-letter destination: the one given, else ``/queue/DLQ.<name>`` as django-stomp had it."""
        return self.dead_letter_destination or dead_letter_destination(self.destination)


def durable_name(client_id: str) -> str:
    """The name of a durable subscription, as django-stomp made it, so that its messages are found again."""
    return f"{client_id}-listener"


def dead_letter_destination(destination: str) -> str:
    """``/queue/orders`` -> ``/queue/DLQ.orders``; a topic's dead letters go to a queue too."""
    name = destination.removeprefix("/amq/queue/").removeprefix("/queue/").removeprefix("/topic/").lstrip("/")
    return f"/queue/DLQ.{name}"


def holding_destination(dead_letters: str) -> str:
    """``/queue/DLQ.orders`` -> ``/queue/HELD.orders``: where messages wait whose bodies are not stored."""
    name = dead_letters.removeprefix("/amq/queue/").removeprefix("/queue/").removeprefix("/topic/").lstrip("/")
    return f"/queue/HELD.{name.removeprefix('DLQ.')}"


@dataclass(frozen=True, slots=True, kw_only=True)
class SubscriptionSpec:
    """What one runner holds open: a destination of a broker, and how messages are taken from it.

    ``client_id`` and ``subscription_id`` are empty where they do not matter.
    """

    name: str
    broker: BrokerSpec
    destination: str
    ack_mode: AckMode
    threads: int
    prefetch: int
    batch: int
    subscriber: str = ""
    exclusive: bool = False
    client_id: str = ""
    subscription_id: str = ""
    headers: tuple[tuple[str, str], ...] = ()

    @property
    def wanted(self) -> Wanted:
        """What is asked of the broker."""
        return Wanted(
            destination=self.destination,
            prefetch=self.prefetch,
            subscriber=self.subscriber,
            exclusive=self.exclusive,
            ack=self.ack_mode,
        )


CONSUME_BATCH = 50
"""Messages a handler thread takes at once: enough to share the cost of a wake-up, few enough to share the work."""

CAPTURE_THREADS = 2
"""One reads a batch while the other waits for the database to store its own."""

CAPTURE_BATCH = 400
"""Rows of one transaction when dead letters are captured."""

CAPTURE_PREFETCH = 1_200
"""What both threads have in hand, and the next batch on its way: else the broker waits for ACKs, and they for it."""

CAPTURE_TIMES = 12
"""How much of it there is at most for each message of a consumer's own prefetch: who has large messages gives that a
small figure, since all of them are in memory, and dead letters are as large."""


def consume_spec(consumer: ConsumerSpec) -> SubscriptionSpec:
    """The subscription that feeds a consumer's handler."""
    # Threads share what is prefetched: no thread may take so much that another goes without.
    share = max(1, consumer.prefetch // (2 * consumer.threads))
    return SubscriptionSpec(
        name=consumer.name,
        broker=consumer.broker,
        destination=consumer.destination,
        ack_mode=consumer.ack_mode,
        threads=consumer.threads,
        prefetch=consumer.prefetch,
        batch=1 if consumer.threads > 1 else min(CONSUME_BATCH, share),
        subscriber=consumer.subscriber,
        exclusive=consumer.exclusive,
        client_id=consumer.client_id,
        subscription_id=consumer.subscription_id,
        headers=consumer.headers,
    )


def capture_spec(consumer: ConsumerSpec) -> SubscriptionSpec:
    """The subscription that moves a consumer's dead letters from the broker into rows."""
    prefetch = min(CAPTURE_PREFETCH, CAPTURE_TIMES * consumer.prefetch)
    return SubscriptionSpec(
        name=f"{consumer.name} dead letters",
        broker=consumer.broker,
        destination=consumer.dead_letters,
        ack_mode=AckMode.CLIENT_INDIVIDUAL,
        threads=CAPTURE_THREADS,
        prefetch=prefetch,
        batch=min(CAPTURE_BATCH, prefetch // 3),
    )

"""Rows and deliveries for tests of dead letters."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from django.utils import timezone

from stompconsole.brokers import Dialect, dialect_for
from stompconsole.deadletters import storable, tallies
from stompconsole.deadletters.capture import CaptureWork, capture_work
from stompconsole.deadletters.tallies import Cell
from stompconsole.delivery import envelope
from stompconsole.delivery.envelope import Envelope
from stompconsole.delivery.settlement import Delivery, Settlement
from stompconsole.models import Broker, Consumer, DeadLetter, DeadLetterState, LetterTally, Worker
from tests.delivery.recording import RecordingSession
from tests.support.brokers import TestBroker

DLQ = "/queue/DLQ.orders"
ORIGIN = "/queue/orders"
ACTIVEMQ = dialect_for("activemq", "")
RABBITMQ = dialect_for("rabbitmq", "")


def make_broker(broker: TestBroker | None = None, *, port: int = 1, **fields: Any) -> Broker:
    """The row of a broker that runs, or of one that does not."""
    name = fields.pop("name", f"b-{uuid.uuid4().hex[:8]}")
    login = {"user": broker.user, "password": broker.password} if broker else {}
    times = {"connect_timeout_s": 5.0, "receipt_timeout_s": 5.0}
    port = broker.port if broker else port
    return Broker.objects.create(name=name, host="127.0.0.1", port=port, **{**login, **times, **fields})


def make_consumer(broker: TestBroker | Broker | None = None, **fields: Any) -> Consumer:
    row = broker if isinstance(broker, Broker) else make_broker(broker)
    defaults = {"name": f"c-{uuid.uuid4().hex[:8]}", "destination": ORIGIN, "handler": "tests.handler"}
    return Consumer.objects.create(broker=row, **{**defaults, **fields})


def make_worker() -> Worker:
    now = timezone.now()
    return Worker.objects.create(hostname="here", pid=1, version="1", started_at=now, heartbeat_at=now)


def make_dead_letters(consumer: Consumer | None, count: int, **fields: Any) -> list[DeadLetter]:
    """Rows as capture leaves them; their bodies are their numbers."""
    now = timezone.now()
    defaults = {
        "consumer": consumer,
        "consumer_name": consumer.name if consumer else "gone",
        "state": DeadLetterState.DEAD,
        "state_at": now,
        "origin": consumer.destination if consumer else ORIGIN,
        "destination": DLQ,
        "error_type": "builtins.KeyError",
        "error_message": "'sku'",
        "headers": {"color": "red"},
        "body_size": 10,
        "failed_at": now,
        "first_failed_at": now,
        "captured_at": now,
    }
    rows = [DeadLetter(**{"body": str(number).encode(), **defaults, **fields}) for number in range(count)]
    for row in rows:
        others = (row.error_type, row.error_message, row.correlation_id, row.message_id)
        row.search_text = storable.search_text(row.search_text.encode() or row.body, 4_096, *others)
        row.document = storable.document(row.body, 4_096)
    return DeadLetter.objects.bulk_create(rows)


def died(**fields: Any) -> dict[str, str]:
    """The headers of one of our dead letters."""
    extra = fields.pop("extra", {})
    defaults: dict[str, Any] = {
        "dead_letter_id": str(uuid.uuid4()),
        "failure_id": str(uuid.uuid4()),
        "consumer": "",
        "handler": "orders.handlers.price_of",
        "origin": ORIGIN,
        "error_type": "builtins.KeyError",
        "error_message": "'sku'",
        "traceback": "Traceback …",
        "attempts": 3,
        "first_failed_at": datetime(2026, 1, 1, 12, 0, tzinfo=UTC),
        "failed_at": datetime(2026, 1, 1, 12, 5, tzinfo=UTC),
        "worker": "host:1",
        "message_id": "original-1",
        "replay_id": "",
    }
    return {"message-id": "m-1", **extra, **Envelope(**{**defaults, **fields}).headers()}


def tallied() -> dict[Cell, int]:
    """The sums of all tallies that are not zero, by what is counted together."""
    sums: Counter[Cell] = Counter()
    for *cell, count in LetterTally.objects.values_list(*tallies.FIELDS, "count"):
        sums[Cell(*cell)] += count
    return {cell: count for cell, count in sums.items() if count}


class Captures:
    """A capture subscription without a wire: what is given to it, and what it ACKs."""

    def __init__(self, consumer: Consumer, dialect: Dialect | None = None) -> None:
        self.work: CaptureWork = capture_work(consumer.pk, consumer.name, DLQ)
        self.dialect = dialect or Dialect()

    def give(self, *messages: tuple[dict[str, str], bytes]) -> list[int]:
        """Deliver one batch; the positions of those that were ACKed. Raises what the work raises."""
        deliveries = self.deliveries(messages)
        self.work.process(deliveries, self.dialect)
        return [position for position, delivery in enumerate(deliveries) if delivery.settled]

    def deliveries(self, messages: Sequence[tuple[dict[str, str], bytes]]) -> list[Delivery]:
        settlement = Settlement(RecordingSession(), DLQ, limit=1_000, around=_Nothing())
        return [
            Delivery(settlement, {**headers, "ack": str(position)}, body)
            for position, (headers, body) in enumerate(messages)
        ]


class _Nothing:
    """No subscription around: what is to be done later is left undone."""

    def after(self, delay_s: float, action: Callable[[], None]) -> None:
        return

    def put(self, delivery: Delivery) -> None:
        raise NotImplementedError

    def wake(self) -> None:
        raise NotImplementedError


def ours(headers: dict[str, str]) -> tuple[uuid.UUID, uuid.UUID]:
    """The dead letter and the failure that headers name."""
    return uuid.UUID(headers[envelope.DEAD_LETTER_ID]), uuid.UUID(headers[envelope.FAILURE_ID])

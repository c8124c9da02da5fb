"""Rows for tests of the pages, as workers leave them behind."""

from __future__ import annotations

import itertools
import uuid
from datetime import datetime, timedelta
from typing import Any

from django.contrib.auth.models import Permission, User
from django.utils import timezone

from stompconsole.deadletters import grouping, storable
from stompconsole.metrics.buckets import start_of
from stompconsole.models import (
    Broker,
    Consumer,
    DeadLetter,
    DeadLetterState,
    Failure,
    Purpose,
    Subscription,
    SubscriptionState,
    ThroughputBucket,
    Worker,
    WorkerState,
)

_numbers = itertools.count(1)

HOSTILE = "<script>alert('x')</script>\"'&"
"""In every shown field: it must come out as text."""


def make_user(*permissions: str, name: str = "", **fields: Any) -> User:
    """A user with these of our permissions."""
    user = User.objects.create_user(name or f"user{next(_numbers)}", **fields)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    return user


def make_broker(**fields: Any) -> Broker:
    return Broker.objects.create(**{"name": f"broker{next(_numbers)}", **fields})


def make_consumer(**fields: Any) -> Consumer:
    number = next(_numbers)
    broker = fields.pop("broker", None) or make_broker()
    defaults = {"name": f"consumer{number}", "destination": f"/queue/{number}", "handler": "orders.handlers.handle"}
    return Consumer.objects.create(broker=broker, **{**defaults, **fields})


def make_worker(*, silent_s: float = 0, state: str = WorkerState.RUNNING, **fields: Any) -> Worker:
    now = timezone.now()
    defaults = {"hostname": "web", "pid": next(_numbers), "version": "1.0", "started_at": now - timedelta(hours=1)}
    return Worker.objects.create(heartbeat_at=now - timedelta(seconds=silent_s), state=state, **{**defaults, **fields})


def make_slot(
    consumer: Consumer,
    worker: Worker | None,
    state: str = SubscriptionState.RUNNING,
    *,
    lease_s: float = 10,
    **fields: Any,
) -> Subscription:
    """A slot of a consumer, held by ``worker`` for ``lease_s`` more."""
    defaults = {"purpose": Purpose.CONSUME, "slot": str(next(_numbers))}
    lease = timezone.now() + timedelta(seconds=lease_s) if worker else None
    return Subscription.objects.create(
        consumer=consumer, worker=worker, lease_until=lease, state=state, **{**defaults, **fields}
    )


def make_running(**fields: Any) -> Consumer:
    """A consumer with one running slot that has figures."""
    consumer = make_consumer(**fields)
    worker = Worker.objects.first() or make_worker()
    make_slot(consumer, worker, received_per_s=412, acked_per_s=400, failed_per_s=3.14, in_flight=18)
    return consumer


def make_bucket(consumer: Consumer, at: datetime, width_s: int = 10, **fields: Any) -> ThroughputBucket:
    """The bucket that ``at`` is in."""
    defaults = {"latency": [0] * 16}
    start = start_of(at, width_s)
    return ThroughputBucket.objects.create(consumer=consumer, start=start, width_s=width_s, **{**defaults, **fields})


def make_letter(consumer: Consumer | None, *, ago_s: float = 60, **fields: Any) -> DeadLetter:
    """A dead letter as capture leaves it, with its failure."""
    at = timezone.now() - timedelta(seconds=ago_s)
    body = fields.pop("body", b'{"order": 1}')
    defaults = {
        "consumer_name": consumer.name if consumer else "gone",
        "state": DeadLetterState.DEAD,
        "state_at": at,
        "origin": "/queue/orders",
        "destination": "/queue/DLQ.orders",
        "error_type": "KeyError",
        "error_message": "'sku'",
        "handler": "orders.handlers.handle",
        "worker": "web:1",
        "attempts": 1,
        "failed_at": at,
        "captured_at": at,
    }
    letter = DeadLetter(consumer=consumer, body=body, body_size=len(body), **{**defaults, **fields})
    others = (letter.error_type, letter.error_message, letter.correlation_id, letter.message_id)
    letter.search_text = storable.search_text(letter.search_text.encode() or body, 4_096, *others)
    letter.document = storable.document(body, 4_096)
    letter.save()
    grouping.group_the_rest()
    letter.refresh_from_db(fields=["group", "day"])
    if letter.error_type:
        make_failure(letter, at)
    return letter


def make_failure(letter: DeadLetter, at: datetime, **fields: Any) -> Failure:
    defaults = {
        "error_type": letter.error_type,
        "error_message": letter.error_message,
        "traceback": letter.traceback,
        "handler": letter.handler,
        "worker": letter.worker,
    }
    return Failure.objects.create(pk=uuid.uuid4(), dead_letter=letter, at=at, **{**defaults, **fields})

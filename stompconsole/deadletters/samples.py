"""Rows of what was handled well: stored, thinned out, read for a period. Blocking calls.

Owns how many are kept. Of a body nothing is stored but JSON that is not large, and only where bodies may be stored;
what the rules of redaction name is left out for good.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta

from django.db import IntegrityError
from django.db.models import Count
from django.utils import timezone

from stompconsole.conf import settings_now
from stompconsole.conf.redact import WrongRuleError
from stompconsole.deadletters import sealing, storable
from stompconsole.deadletters.redacting import Redactor
from stompconsole.delivery.sampling import MOST_BYTES, Sample
from stompconsole.models import Consumer, HandledSample

NEWEST_KEPT = 200

KEPT = (
    (timedelta(days=3), timedelta(minutes=6)),
    (timedelta(days=30), timedelta(hours=1)),
)
"""Beyond the newest: one of each span, up to an age. About 1,700 of a consumer in all, for groups that are older."""

ROWS_AT_ONCE = 500
MOST_FORGOTTEN = 10_000


def store(samples: Mapping[int, Sequence[Sample]]) -> None:
    """Store samples by consumer. Of one second the first is kept; those of deleted consumers are left out."""
    try:
        _store_known(samples)
    except IntegrityError:
        # A consumer was deleted in between, which the commit noticed; now it is known to be gone.
        _store_known(samples)


def _store_known(samples: Mapping[int, Sequence[Sample]]) -> None:
    consumers = Consumer.objects.filter(pk__in=samples)
    rows = [row for consumer in consumers for row in _rows(consumer, samples[consumer.pk])]
    # Another worker may have had the same second: one is enough.
    HandledSample.objects.bulk_create(rows, ignore_conflicts=True, batch_size=ROWS_AT_ONCE)


def _rows(consumer: Consumer, samples: Sequence[Sample]) -> list[HandledSample]:
    try:
        redactor = sealing.redactor_of(consumer)
    except WrongRuleError:
        # What must not be stored can't be told: ``check`` and the form say so.
        return []
    stores_body = settings_now().store_bodies and consumer.store_body
    return [_row(consumer, sample, redactor, stores_body=stores_body) for sample in samples]


def _row(consumer: Consumer, sample: Sample, redactor: Redactor, *, stores_body: bool) -> HandledSample:
    body = sample.body if stores_body else None
    document = storable.document(body, MOST_BYTES) if body is not None else None
    return HandledSample(
        consumer=consumer,
        at=sample.at.replace(microsecond=0),
        origin=storable.text(sample.origin, 500),
        headers=redactor.headers(storable.headers(sample.headers)),
        document=redactor.document(document),
        size=sample.size,
    )


def forget() -> int:
    """Delete all of them, some thousands at a time; returns how many. Where sampling is off nothing stays behind."""
    ids = list(HandledSample.objects.order_by("pk").values_list("pk", flat=True)[:MOST_FORGOTTEN])
    for start in range(0, len(ids), ROWS_AT_ONCE):
        HandledSample.objects.filter(pk__in=ids[start : start + ROWS_AT_ONCE]).delete()
    return len(ids)


def purge(now: datetime | None = None) -> int:
    """Delete what is kept no longer; returns how many."""
    now = now or timezone.now()
    many = HandledSample.objects.order_by().values_list("consumer").annotate(count=Count("pk"))
    return sum(_thin_out(consumer_id, now) for consumer_id, count in many if count > NEWEST_KEPT)


def _thin_out(consumer_id: int, now: datetime) -> int:
    rows = HandledSample.objects.filter(consumer=consumer_id)
    newest_first = rows.order_by("-at").values_list("pk", "at")
    gone = [pk for pk, _ in surplus(newest_first.iterator(chunk_size=2_000), now)]
    for start in range(0, len(gone), ROWS_AT_ONCE):
        rows.filter(pk__in=gone[start : start + ROWS_AT_ONCE]).delete()
    return len(gone)


def surplus(newest_first: Iterable[tuple[int, datetime]], now: datetime) -> Iterator[tuple[int, datetime]]:
    """Those of one consumer that are kept no longer, by id and time."""
    taken: set[tuple[timedelta, int]] = set()
    for position, (pk, at) in enumerate(newest_first):
        if position < NEWEST_KEPT:
            continue
        span = next((span for age, span in KEPT if at > now - age), None)
        place = (span, int(at.timestamp() // span.total_seconds())) if span is not None else None
        if place is None or place in taken:
            yield pk, at
        else:
            taken.add(place)

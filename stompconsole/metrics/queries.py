"""What pages show of the running system, read from rows in a number of queries that does not grow with it.

Rows become frozen values here; how they read in words is the dashboard's. Times are aware; rates per second.
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from django.contrib.auth import get_user_model
from django.db.models import Count, OuterRef, Subquery, Sum
from django.db.models.functions import Now
from django.utils import timezone

from stompconsole.conf import settings_now
from stompconsole.delivery.specs import dead_letter_destination
from stompconsole.metrics.brokers import broker_lines
from stompconsole.metrics.depths import Depths, depth_lines, not_read
from stompconsole.metrics.lines import ConsumerLine, DeadCounts, Figures, Live, SlotLine, WorkerLine
from stompconsole.metrics.series import Series, Window
from stompconsole.metrics.standing import SlotNow, Standing, judge
from stompconsole.models import (
    Consumer,
    DeadLetter,
    DeadLetterState,
    LetterTally,
    Purpose,
    Subscription,
    SubscriptionState,
    Worker,
    WorkerState,
    living_workers,
)

_SHOWN = (
    "name", "destination", "dead_letter_destination", "instances", "prefetch", "paused", "paused_reason", "paused_by",
    "broker",
)  # fmt: skip
"""Fields of a consumer that lines are made of. Of its broker only the name: secrets are not even read."""

FORGOTTEN_AFTER = timedelta(hours=24)
"""A worker that went silent longer ago than this is history, not a fault."""


def live(window: Window, dead: DeadLetterCounts | None = None) -> Live:
    """Read it all: eleven queries, the window's refresh included. ``dead`` is kept by who reads again and again."""
    workers, now = _workers()
    window.refresh(now)
    slots = _slots({worker.id: worker for worker in workers}, now)
    counts = (dead or DeadLetterCounts()).at(now)
    consumers = tuple(_consumer_lines(window, workers, slots, counts, depth_lines(now)))
    return Live(
        now=now,
        consumers=consumers,
        workers=tuple(_with_slots(worker, slots) for worker in workers if _shown(worker, now)),
        dead=counts,
        brokers=broker_lines(consumers),
    )


def workers_ever() -> tuple[tuple[WorkerLine, ...], datetime]:
    """All workers that still have a row, however long ago they stopped, and the database's time."""
    workers, now = _workers()
    slots = _slots({worker.id: worker for worker in workers}, now)
    return tuple(_with_slots(worker, slots) for worker in workers), now


class DeadLetterCounts:
    """Dead letters counted, and counted again only after twenty times as long as it took.

    Counting walks an index: with a million of them that is no work for every second.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._again_at = 0.0
        self._last: DeadCounts | None = None

    def at(self, now: datetime) -> DeadCounts:
        """The counts: of now, or of a moment ago while counting is slow."""
        started = self._clock()
        if self._last is None or started >= self._again_at:
            self._last = _dead_counts(now)
            self._again_at = started + 20 * (self._clock() - started)
        return self._last


def _dead_counts(now: datetime) -> DeadCounts:
    dead = DeadLetter.objects.filter(state=DeadLetterState.DEAD)
    # By the tallies: counting a million of them takes seconds. Those that have no group yet are not in the tallies.
    tallied = LetterTally.objects.filter(state=DeadLetterState.DEAD).order_by().values_list("group__consumer")
    ungrouped = dead.filter(group=None).order_by().values_list("consumer")
    counts: Counter[int | None] = Counter()
    for pk, count in (*tallied.annotate(sum=Sum("count")), *ungrouped.annotate(count=Count("pk"))):
        counts[pk] += count
    counts = +counts
    newest = dead.values_list("error_type", "error_message", "failed_at").first()
    return DeadCounts(
        by_consumer=counts,
        total=sum(counts.values()),
        last_hour=dead.filter(failed_at__gte=now - timedelta(hours=1)).count(),
        newest_error=_error(newest[0], newest[1]) if newest else "",
        newest_at=newest[2] if newest else None,
    )


def _workers() -> tuple[list[WorkerLine], datetime]:
    # Ages are taken by the database's clock, which the workers write: a web server's own may be off.
    rows = list(Worker.objects.annotate(read_at=Now()).order_by("hostname", "pid"))
    now: datetime = rows[0].read_at if rows else timezone.now()
    return [_worker_line(row, now) for row in rows], now


def _worker_line(row: Worker, now: datetime) -> WorkerLine:
    return WorkerLine(
        id=str(row.pk),
        name=str(row),
        standing=_worker_standing(row, now),
        heartbeat_at=row.heartbeat_at,
        started_at=row.started_at,
        slots=0,
        memory_bytes=row.memory_bytes,
        version=row.version,
        release=row.release,
    )


def _worker_standing(row: Worker, now: datetime) -> Standing:
    if row.state == WorkerState.STOPPED:
        return Standing.STOPPED
    if now - row.heartbeat_at > timedelta(seconds=settings_now().stale_after_s):
        return Standing.STALE
    return Standing.DRAINING if row.state == WorkerState.DRAINING else Standing.RUNNING


def has_worker() -> bool:
    """Whether any worker is there that takes up work."""
    return Worker.objects.filter(living_workers(settings_now().stale_after_s)).exists()


def _shown(worker: WorkerLine, now: datetime) -> bool:
    return worker.standing is not Standing.STOPPED and now - worker.heartbeat_at < FORGOTTEN_AFTER


def _with_slots(worker: WorkerLine, slots: Iterable[SlotLine]) -> WorkerLine:
    held = [slot for slot in slots if slot.worker_id == worker.id and slot.now.held]
    return replace(worker, slots=sum(slot.purpose is Purpose.CONSUME for slot in held))


def _slots(workers: Mapping[str, WorkerLine], now: datetime) -> list[SlotLine]:
    rows = Subscription.objects.order_by("consumer_id", "-purpose", "slot")
    return [_slot_line(row, workers.get(str(row.worker_id)), now) for row in rows]


def _slot_line(row: Subscription, worker: WorkerLine | None, now: datetime) -> SlotLine:
    slot = SlotNow(
        state=SubscriptionState(row.state),
        reason=row.reason,
        held=row.lease_until is not None and row.lease_until > now and worker is not None and worker.alive,
        silent=worker is not None and worker.standing is Standing.STALE,
        worker=worker.name if worker else "",
    )
    believed = slot.held
    return SlotLine(
        consumer_id=row.consumer_id,
        worker_id=str(row.worker_id or ""),
        purpose=Purpose(row.purpose),
        slot=row.slot,
        now=slot,
        since=row.state_since,
        endpoint=row.endpoint,
        server=row.server,
        received_per_s=row.received_per_s if believed else None,
        acked_per_s=row.acked_per_s if believed else None,
        failed_per_s=row.failed_per_s if believed else None,
        in_flight=row.in_flight if believed else None,
    )


def _consumer_lines(
    window: Window, workers: Sequence[WorkerLine], slots: Iterable[SlotLine], dead: DeadCounts, depths: Depths
) -> Iterable[ConsumerLine]:
    alive = sum(worker.standing is Standing.RUNNING for worker in workers)
    of_consumer: dict[int, list[SlotLine]] = defaultdict(list)
    for slot in slots:
        of_consumer[slot.consumer_id].append(slot)
    for row in _consumers():
        line = _consumer_line(row, of_consumer[row.pk], alive, window.of(row.pk), dead.by_consumer.get(row.pk, 0))
        yield replace(
            line,
            depth=depths.get((row.pk, Purpose.CONSUME)) or not_read(),
            dead_depth=depths.get((row.pk, Purpose.CAPTURE)) or not_read(),
        )


def _consumers() -> Iterable[Consumer]:
    newest = DeadLetter.objects.filter(consumer=OuterRef("pk"), state=DeadLetterState.DEAD).order_by("-failed_at")
    return (
        Consumer.objects.select_related("broker", "paused_by")
        .only(*_SHOWN, "broker__name", f"paused_by__{get_user_model().USERNAME_FIELD}")
        .annotate(newest_type=Subquery(newest.values("error_type")[:1]))
        .annotate(newest_message=Subquery(newest.values("error_message")[:1]))
        .order_by("name")
    )


def _consumer_line(
    row: Consumer, slots: Sequence[SlotLine], live_workers: int, series: Series, dead: int
) -> ConsumerLine:
    consuming = [slot for slot in slots if slot.purpose is Purpose.CONSUME]
    return ConsumerLine(
        id=row.pk,
        name=row.name,
        destination=row.destination,
        dead_letter_destination=row.dead_letter_destination or dead_letter_destination(row.destination),
        broker=row.broker.name,
        broker_id=row.broker.pk,
        verdict=judge(
            paused=_paused(row),
            instances=row.instances,
            live_workers=live_workers,
            slots=[slot.now for slot in consuming],
        ),
        figures=_figures(consuming, row.prefetch),
        series=series,
        slots=tuple(slots),
        dead=dead,
        newest_error=_error(getattr(row, "newest_type", ""), getattr(row, "newest_message", "")),
    )


def _paused(row: Consumer) -> str | None:
    if not row.paused:
        return None
    by = f"by {row.paused_by.get_username()}" if row.paused_by else ""
    return ": ".join(filter(None, (by, row.paused_reason)))


def _figures(slots: Sequence[SlotLine], prefetch: int) -> Figures | None:
    believed = [slot for slot in slots if slot.in_flight is not None]
    if not believed:
        return None
    return Figures(
        received_per_s=sum(slot.received_per_s or 0 for slot in believed),
        acked_per_s=sum(slot.acked_per_s or 0 for slot in believed),
        failed_per_s=sum(slot.failed_per_s or 0 for slot in believed),
        in_flight=sum(slot.in_flight or 0 for slot in believed),
        prefetch=prefetch * len(believed),
    )


def _error(error_type: str | None, message: str | None) -> str:
    return ": ".join(filter(None, (error_type, message)))[:200]

"""What a worker tells of itself in rows: how its slots are, what was handled, which replays came out well.

Blocking calls. What could not be written is kept in memory and added to what comes next, so that after an outage
the counters catch up.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Case, F, When
from django.db.models.functions import Now
from django.utils import timezone

from stompconsole.deadletters.outcomes import record_processed
from stompconsole.delivery.specs import SubscriptionState
from stompconsole.metrics import buckets
from stompconsole.metrics.tally import NOTHING, Counts
from stompconsole.models import Subscription
from stompconsole.worker.leases import Lease
from stompconsole.worker.slots import Collected, SlotNow, by_consumer

MAX_REASON = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotReport:
    """What is written of one slot. Rates per second over the last beat, totals since the row was made."""

    lease: Lease
    run: int
    state: str
    reason: str
    endpoint: str
    server: str
    in_flight: int
    received_per_s: float
    acked_per_s: float
    failed_per_s: float
    received: int
    acked: int
    failed: int


def report_of(slot: SlotNow, elapsed_s: float) -> SlotReport:
    """The report of a slot over the last ``elapsed_s`` seconds."""
    status, fresh, total, lease = slot.status, slot.fresh, slot.total, slot.lease
    per_s = 1 / max(elapsed_s, 0.001)
    return SlotReport(
        lease=lease,
        run=slot.run,
        state=status.state.value,
        # PostgreSQL stores no NUL; a broker's words may hold one.
        reason=status.reason.replace("\0", "")[:MAX_REASON],
        endpoint=status.endpoint[:300],
        server=status.server.replace("\0", "")[:200],
        in_flight=max(0, status.in_flight),
        received_per_s=round(fresh.received * per_s, 3),
        acked_per_s=round(fresh.acked * per_s, 3),
        failed_per_s=round(fresh.dead_lettered * per_s, 3),
        received=lease.received + total.received,
        acked=lease.acked + total.acked,
        failed=lease.failed + total.dead_lettered,
    )


class SlotReports:
    """Writes the reports of one worker's slots, those that say something new."""

    def __init__(self, worker_id: UUID) -> None:
        self._worker_id = worker_id
        self._written: dict[int, SlotReport] = {}

    def write(self, reports: Iterable[SlotReport]) -> None:
        """Write them in one transaction; slots that are no longer ours are left alone."""
        wanted = {report.lease.pk: report for report in reports}
        # A lease won anew has rewritten the row: then the same report is news again.
        news = [report for pk, report in wanted.items() if self._written.get(pk) != report]
        before, self._written = self._written, {}
        if news:
            with transaction.atomic():
                for report in news:
                    self._write(report, before.get(report.lease.pk))
        self._written = wanted

    def _write(self, report: SlotReport, before: SlotReport | None) -> None:
        fields: dict[str, Any] = {name: getattr(report, name) for name in _COLUMNS}
        # A runner that was started anew within one beat is running as before, but not since then.
        same_run = before is None or before.run == report.run
        since = Case(When(state=report.state, then=F("state_since")), default=Now()) if same_run else Now()
        rows = Subscription.objects.filter(pk=report.lease.pk, worker_id=self._worker_id)
        # A row says broken only while it has no runner: this report was overtaken by that.
        rows = rows.exclude(state=SubscriptionState.BROKEN.value)
        rows.update(**fields, state_since=since, reported_at=Now())


_COLUMNS = tuple(name for name in SlotReport.__slots__ if name not in {"lease", "run"})


class Ledger:
    """What was counted and is not in the database yet. Filled on the loop, emptied by a lane."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: dict[int, Counts] = {}
        self._processed: tuple[tuple[str, str], ...] = ()

    def add(self, collected: Collected) -> None:
        """Add what was collected from the slots."""
        counts = by_consumer(collected.counts)
        self._put({consumer_id: replace(fresh, replayed=()) for consumer_id, fresh in counts.items() if fresh.moved})
        with self._lock:
            for fresh in counts.values():
                self._processed += fresh.replayed

    @property
    def empty(self) -> bool:
        """Whether there is nothing to write."""
        return not (self._counts or self._processed)

    def write(self) -> None:
        """Write it all; what fails is kept, and what the database raises is raised."""
        self._write_counts()
        self._write_processed()

    def _write_counts(self) -> None:
        with self._lock:
            taken, self._counts = self._counts, {}
        try:
            buckets.add_all(taken, timezone.now())
        except BaseException:
            self._put(taken)
            raise

    def _put(self, counts: Mapping[int, Counts]) -> None:
        with self._lock:
            for consumer_id, fresh in counts.items():
                self._counts[consumer_id] = self._counts.get(consumer_id, NOTHING) + fresh

    def _write_processed(self) -> None:
        with self._lock:
            taken, self._processed = self._processed, ()
        if not taken:
            return
        try:
            record_processed(taken)
        except BaseException:
            with self._lock:
                self._processed = taken + self._processed
            raise

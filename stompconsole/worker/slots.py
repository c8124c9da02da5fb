"""The slots this worker holds: their leases, their runners, what they count. Lives on the event loop's thread.

The guard's half of a lease is here: a runner whose lease could not be renewed in time is aborted by this worker's
own clock, whatever the database does. A runner that drains for too long is aborted as well.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol

from stompconsole.delivery.observer import Observer
from stompconsole.delivery.specs import Purpose, SubscriptionState
from stompconsole.delivery.status import RunnerStatus
from stompconsole.errors import ConfigurationError
from stompconsole.metrics.tally import NOTHING, Counts, Tally
from stompconsole.worker.leases import Lease, Renewal
from stompconsole.worker.plan import DELETED
from stompconsole.worker.wanted import Held, RunSpec, SlotKey

logger = logging.getLogger(__name__)

NEVER_S = float("inf")
LOST = "the lease of its slot was lost: another worker may have it"
NOT_RENEWED = "the lease of its slot could not be renewed in time"


class Runner(Protocol):
    """What a slot needs of ``delivery.runner.SubscriptionRunner``."""

    @property
    def status(self) -> RunnerStatus:
        """What it is doing now."""

    def start(self) -> None:
        """Start; returns at once."""

    def drain(self) -> None:
        """Ask for an orderly end; returns at once."""

    def abort(self, reason: str) -> None:
        """End now."""

    def try_now(self) -> None:
        """Do not wait out the back-off of an open breaker."""

    def join(self, timeout_s: float) -> bool:
        """Whether it has ended, within ``timeout_s`` seconds."""


MakeRunner = Callable[[SlotKey, RunSpec, Observer], Runner]
"""Makes a runner, not started. Raises ConfigurationError."""


class SlotTally(Tally):
    """Counts for one slot, and says when its runner has ended."""

    def __init__(self, ended: Callable[[], None]) -> None:
        super().__init__()
        self._ended = ended

    def changed(self, state: SubscriptionState, reason: str) -> None:
        if state is SubscriptionState.STOPPED:
            self._ended()


@dataclass(slots=True, kw_only=True)
class Slot:
    """One slot that is held."""

    lease: Lease
    deadline_s: float
    tally: SlotTally
    total: Counts = NOTHING
    spec: RunSpec | None = None
    runner: Runner | None = None
    run: int = 0
    tried_at: datetime | None = None
    drain_reason: str = ""
    drain_until_s: float = NEVER_S


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotNow:
    """What is to be said of a slot with a runner: its status, and its counts since it is held.

    ``run`` counts the runners that were started in it.
    """

    key: SlotKey
    lease: Lease
    run: int
    status: RunnerStatus
    fresh: Counts
    total: Counts


@dataclass(frozen=True, slots=True, kw_only=True)
class Collected:
    """All that was counted since the last time, by slot, and how the slots with runners are."""

    counts: tuple[tuple[SlotKey, Counts], ...] = ()
    slots: tuple[SlotNow, ...] = ()


class Slots:
    """All slots of this worker. ``drain_limit_s``: how long a runner may take to drain, in seconds.

    ``ended`` is called, on any thread, when a runner has ended.
    """

    def __init__(
        self,
        make: MakeRunner,
        *,
        drain_limit_s: float,
        ended: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._make = make
        self._drain_limit_s = drain_limit_s
        self._ended = ended
        self._clock = clock
        self._slots: dict[SlotKey, Slot] = {}
        self._aborted: list[Runner] = []
        self._left_over: list[tuple[SlotKey, Tally]] = []

    def held(self) -> dict[SlotKey, Held]:
        """The slots as a plan looks at them; runners that have ended are let go."""
        self._reap()
        return {key: Held(spec=slot.spec, draining=bool(slot.drain_reason)) for key, slot in self._slots.items()}

    def leases(self) -> dict[SlotKey, Lease]:
        """The leases that are to be renewed."""
        return {key: slot.lease for key, slot in self._slots.items() if slot.deadline_s < NEVER_S}

    def lease(self, key: SlotKey) -> Lease | None:
        """The lease of a slot; None if it is not held (any more)."""
        slot = self._slots.get(key)
        return slot.lease if slot else None

    def hold(self, key: SlotKey, lease: Lease) -> None:
        """A slot was won, for the first time or again."""
        slot = self._slots.get(key)
        if slot is None:
            self._slots[key] = Slot(lease=lease, deadline_s=lease.deadline_s, tally=SlotTally(self._ended))
        else:
            slot.lease, slot.total = lease, NOTHING
            slot.deadline_s = max(slot.deadline_s, lease.deadline_s)

    def start(self, key: SlotKey, spec: RunSpec) -> None:
        """Start a runner in a slot that has none. A slot whose lease has run out meanwhile is let go instead."""
        slot = self._slots.get(key)
        if slot is None or slot.runner is not None:
            return
        if self._clock() >= slot.deadline_s:
            self.drop(key)
            return
        try:
            runner = self._make(key, spec, slot.tally)
        except ConfigurationError as error:
            logger.warning("slot %s can't start: %s", key, error)
            return
        slot.spec, slot.runner, slot.run = spec, runner, slot.run + 1
        runner.start()

    def drain(self, key: SlotKey, reason: str) -> None:
        """Ask the runner of a slot to finish."""
        slot = self._slots.get(key)
        if slot is None or slot.runner is None or slot.drain_reason:
            return
        logger.info("slot %s drains: %s", key, reason)
        slot.drain_reason = reason
        slot.drain_until_s = self._clock() + self._drain_limit_s
        slot.runner.drain()

    def try_now(self, asked: Mapping[int, datetime]) -> None:
        """Have open breakers try a message, where a consumer's operator asked for it at another time than last."""
        for key, slot in self._slots.items():
            at = asked.get(key.consumer_id)
            if at is not None and slot.runner is not None and slot.tried_at != at:
                slot.tried_at = at
                slot.runner.try_now()

    def drain_all(self, reason: str) -> None:
        """Ask every runner to finish."""
        for key in list(self._slots):
            self.drain(key, reason)

    def abort_all(self, reason: str) -> None:
        """End every runner now; the slots are no longer held."""
        for key in list(self._slots):
            self._abort(key, reason)

    def drop(self, key: SlotKey) -> None:
        """No longer hold a slot; a runner that it still has is aborted."""
        self._abort(key, LOST)

    def renewed(self, renewal: Renewal, asked: Mapping[SlotKey, Lease]) -> None:
        """A renewal is through: move deadlines, abort what was lost, drain what was deleted with its consumer."""
        for key, lease in asked.items():
            slot = self._slots.get(key)
            # While the database was asked, the slot may have been given up, and won anew with another lease.
            if slot is None or slot.lease is not lease:
                continue
            if key in renewal.orphaned:
                # Nobody can start it elsewhere any more, so it may finish what it has begun.
                slot.deadline_s = NEVER_S
                self.drain(key, DELETED)
            elif key in renewal.lost:
                self._abort(key, LOST)
            else:
                slot.deadline_s = max(slot.deadline_s, renewal.deadline_s)

    def guard(self) -> None:
        """Abort what is past its lease or has drained for too long, by this machine's clock alone."""
        now_s = self._clock()
        for key, slot in list(self._slots.items()):
            if now_s >= slot.deadline_s:
                self._abort(key, NOT_RENEWED)
            elif now_s >= slot.drain_until_s and slot.runner is not None:
                logger.warning("slot %s did not drain in %g s: what it has goes back", key, self._drain_limit_s)
                slot.drain_until_s = NEVER_S
                slot.runner.abort(f"{slot.drain_reason}; it did not finish in {self._drain_limit_s:g} s")

    def collect(self) -> Collected:
        """Take what was counted, and look at every runner."""
        counts = [(key, tally.take()) for key, tally in self._left_over]
        self._left_over.clear()
        now = []
        for key, slot in self._slots.items():
            fresh = slot.tally.take()
            slot.total += replace(fresh, replayed=())
            counts.append((key, fresh))
            if slot.runner is not None:
                status = slot.runner.status
                now.append(
                    SlotNow(key=key, lease=slot.lease, run=slot.run, status=status, fresh=fresh, total=slot.total)
                )
        return Collected(counts=tuple(counts), slots=tuple(now))

    def busy(self) -> bool:
        """Whether any runner still lives."""
        self._reap()
        return bool(self._aborted) or any(slot.runner is not None for slot in self._slots.values())

    def _reap(self) -> None:
        self._aborted = [runner for runner in self._aborted if not _has_ended(runner)]
        for key, slot in self._slots.items():
            if slot.runner is not None and _has_ended(slot.runner):
                if not slot.drain_reason:
                    logger.error("the runner of slot %s has ended by itself", key)
                slot.runner, slot.spec = None, None
                slot.drain_reason, slot.drain_until_s = "", NEVER_S

    def _abort(self, key: SlotKey, reason: str) -> None:
        slot = self._slots.pop(key, None)
        if slot is None:
            return
        self._left_over.append((key, slot.tally))
        if slot.runner is not None:
            logger.warning("slot %s is aborted: %s", key, reason)
            slot.runner.abort(reason)
            self._aborted.append(slot.runner)


def _has_ended(runner: Runner) -> bool:
    return runner.status.state is SubscriptionState.STOPPED or runner.join(0.0)


def by_consumer(counts: Iterable[tuple[SlotKey, Counts]]) -> Mapping[int, Counts]:
    """What handlers did, by consumer; captures are not throughput."""
    added: dict[int, Counts] = {}
    for key, fresh in counts:
        if key.purpose is Purpose.CONSUME:
            added[key.consumer_id] = added.get(key.consumer_id, NOTHING) + fresh
    return added

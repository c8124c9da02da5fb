"""How a consumer stands: what was wanted, what is there, and why the two differ, or what holds it up. Pure.

The words are the one vocabulary of pills on every page. A row is believed only while its lease lives and its
worker is heard of: what a silent worker last wrote is not what is.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass

from stompconsole.delivery.breaker import PAUSED
from stompconsole.delivery.giving_up import HELD_UP
from stompconsole.models import SubscriptionState

NO_WORKER = "no worker is running: start one with `python manage.py runworker stomp`"
NOT_TAKEN = "waiting for a worker to take it"


class Standing(enum.StrEnum):
    """The words of a state pill."""

    RUNNING = "running"
    STARTING = "starting"
    PAUSED = "paused"
    DRAINING = "draining"
    BACKING_OFF = "backing off"
    BROKEN = "broken"
    STALE = "stale"
    STOPPED = "stopped"

    @property
    def needs_attention(self) -> bool:
        """Whether somebody should look at it."""
        return self in {Standing.BROKEN, Standing.BACKING_OFF, Standing.STALE, Standing.STOPPED}


_OF_STATE = {
    SubscriptionState.STARTING: Standing.STARTING,
    SubscriptionState.RUNNING: Standing.RUNNING,
    SubscriptionState.DRAINING: Standing.DRAINING,
    SubscriptionState.BACKING_OFF: Standing.BACKING_OFF,
    SubscriptionState.BROKEN: Standing.BROKEN,
    SubscriptionState.STOPPED: Standing.STARTING,
}
"""A held slot that says "stopped" has only just been taken."""

_WORST_FIRST = (Standing.BROKEN, Standing.BACKING_OFF, Standing.STALE, Standing.STARTING, Standing.DRAINING)


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotNow:
    """One slot. ``held``: its lease lives and its worker is heard of; ``silent``: its worker is not."""

    state: SubscriptionState
    reason: str = ""
    held: bool = False
    silent: bool = False
    worker: str = ""

    @property
    def held_up(self) -> bool:
        """Whether it runs, and yet what it gives up on can't leave it."""
        return self.standing is Standing.RUNNING and HELD_UP in self.reason

    @property
    def breaker_open(self) -> bool:
        """Whether it takes no messages, but for one to try, since too many have failed."""
        return self.standing is Standing.BACKING_OFF and PAUSED in self.reason

    @property
    def standing(self) -> Standing | None:
        """Its word, or None when nobody has it."""
        if self.silent:
            return Standing.STALE
        return _OF_STATE[self.state] if self.held else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """A consumer's pill, its slots wanted and running, and the reason when they differ."""

    standing: Standing
    wanted: int
    actual: int
    reason: str = ""
    paused: bool = False
    held_up: bool = False
    """It runs, and yet what it gives up on can't leave it."""
    breaker_open: bool = False
    """A slot of it takes no messages, since too many have failed."""

    @property
    def needs_attention(self) -> bool:
        """Whether somebody should look at it."""
        return self.held_up or self.standing.needs_attention


def judge(*, paused: str | None, instances: int, live_workers: int, slots: Sequence[SlotNow]) -> Verdict:
    """How a consumer with these slots stands.

    ``paused`` is None, or who paused it and why, in words. ``instances`` 0 wants one slot in every live worker.
    """
    running = sum(slot.standing is Standing.RUNNING for slot in slots)
    if paused is not None:
        standing = Standing.DRAINING if any(slot.held for slot in slots) else Standing.PAUSED
        return Verdict(standing=standing, wanted=0, actual=running, reason=paused, paused=True)
    wanted = instances or live_workers
    if running >= wanted > 0:
        why = next((slot.reason for slot in slots if slot.held_up), "")
        return Verdict(standing=Standing.RUNNING, wanted=wanted, actual=running, reason=why, held_up=bool(why))
    standing, reason = _why(slots, live_workers)
    tripped = any(slot.breaker_open for slot in slots)
    return Verdict(standing=standing, wanted=wanted, actual=running, reason=reason, breaker_open=tripped)


def _why(slots: Sequence[SlotNow], live_workers: int) -> tuple[Standing, str]:
    for standing in _WORST_FIRST:
        found = next((slot for slot in slots if slot.standing is standing), None)
        if found is not None:
            return standing, _reason(found, standing, live_workers)
    if not live_workers:
        return Standing.STOPPED, NO_WORKER
    return Standing.STARTING, NOT_TAKEN


def _reason(slot: SlotNow, standing: Standing, live_workers: int) -> str:
    if standing is not Standing.STALE:
        return slot.reason
    silent = f"worker {slot.worker} has gone silent"
    return silent if live_workers else f"{silent}; {NO_WORKER}"

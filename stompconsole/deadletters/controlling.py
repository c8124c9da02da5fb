"""What an operator does with a replay that is there: pause, resume, change its rate, end its canary, cancel.

Each act is one transaction and is audited. The worker that carries it out sees it within a second; what it has in
flight then is still written down.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import transaction
from django.db.models import Q, QuerySet
from django.db.models.functions import Now
from django.utils import timezone

from stompconsole import audit
from stompconsole.audit import Action
from stompconsole.deadletters import freezing, transitions
from stompconsole.models import Replay, ReplayState

if TYPE_CHECKING:
    from django.contrib.auth.models import User

UNDER_WAY = (ReplayState.WAITING, ReplayState.RUNNING)
RESTING = (ReplayState.PAUSED, ReplayState.STOPPED)


@transaction.atomic
def pause_replay(replay_id: int, *, actor: User | None, remote_address: str | None = None) -> bool:
    """Send no more until it is resumed. False if it was not under way."""
    note = f"paused by {_name(actor)}"
    if not _of(replay_id, *UNDER_WAY).update(state=ReplayState.PAUSED, note=note):
        return False
    _record(Action.REPLAY_PAUSED, replay_id, actor, remote_address)
    return True


@transaction.atomic
def resume_replay(replay_id: int, *, actor: User | None, remote_address: str | None = None) -> bool:
    """Go on with one that was paused, or stopped by its rule; what failed before stops it no more. False if it was
    neither."""
    if not _of(replay_id, *RESTING).update(state=ReplayState.WAITING, note="", judged_since=timezone.now()):
        return False
    _record(Action.REPLAY_RESUMED, replay_id, actor, remote_address)
    return True


@transaction.atomic
def change_rate(replay_id: int, rate: float | None, *, actor: User | None, remote_address: str | None = None) -> bool:
    """Send so many a second from now on; None for no limit. False if it has ended."""
    unfinished = _of(replay_id, *UNDER_WAY, *RESTING)
    before = unfinished.values_list("rate", flat=True).first()
    if not unfinished.update(rate=rate):
        return False
    detail = f"{_rate(before)} -> {_rate(rate)}"
    _record(Action.REPLAY_CHANGED, replay_id, actor, remote_address, detail=detail)
    return True


@transaction.atomic
def end_canary(replay_id: int, *, actor: User | None, remote_address: str | None = None) -> bool:
    """Send the rest without waiting for the outcome of its first steps. False if it has ended, or has no canary."""
    if not _of(replay_id, *UNDER_WAY, *RESTING).exclude(canary=[]).update(canary=[]):
        return False
    _record(Action.REPLAY_CHANGED, replay_id, actor, remote_address, detail="the canary is over")
    return True


@transaction.atomic
def cancel_replay(replay_id: int, *, actor: User | None, remote_address: str | None = None) -> bool:
    """End a replay: what is not sent goes back to dead. False if it had ended before.

    While a worker carries it out, the worker gives the rest back once it knows what the broker has confirmed.
    """
    note = f"cancelled by {_name(actor)}"
    now = timezone.now()
    if not _of(replay_id, *UNDER_WAY, *RESTING).update(state=ReplayState.CANCELLED, note=note, finished_at=now):
        return False
    freezing.end(replay_id)
    unleased = Replay.objects.filter(Q(worker=None) | Q(lease_until=None) | Q(lease_until__lt=Now()), pk=replay_id)
    if unleased.update(worker=None, lease_until=None):
        transitions.skip_waiting(replay_id, note, now)
    _record(Action.REPLAY_CANCELLED, replay_id, actor, remote_address)
    return True


def _of(replay_id: int, *states: ReplayState) -> QuerySet[Replay]:
    return Replay.objects.filter(pk=replay_id, state__in=states)


def _name(actor: User | None) -> str:
    return actor.get_username() if actor is not None else "the system"


def _rate(rate: float | None) -> str:
    return "no limit" if rate is None else f"{rate:g} a second"


def _record(
    action: Action, replay_id: int, actor: User | None, remote_address: str | None, *, detail: str = ""
) -> None:
    audit.record(
        action,
        f"replay {replay_id}",
        actor=actor,
        actor_name=_name(actor),
        detail=detail,
        data={"replay": replay_id},
        remote_address=remote_address,
    )

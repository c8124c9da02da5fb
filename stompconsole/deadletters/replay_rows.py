"""A replay as the worker that carries it out leads it: its lease, its course, what came of its items, its end.

Synchronous, each function by itself; times of the lease by the database's clock. A worker that has lost its lease may
still write what it knows: states of items only change from the state that is expected.
"""

from __future__ import annotations

import enum
import uuid
from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Count, F, Q, QuerySet
from django.db.models.functions import Now
from django.utils import timezone

from stompconsole import audit
from stompconsole.audit import Action
from stompconsole.deadletters import storable, transitions
from stompconsole.deadletters.judging import Course, Outcomes, Rules, judge
from stompconsole.deadletters.outcomes import progress
from stompconsole.deadletters.portions import Outgoing
from stompconsole.models import Replay, ReplayFlight, ReplayItem, ReplayItemState, ReplayState

MAX_NOTE = 2_000
"""Characters of a broker's words that are kept."""

# A cancelled one whose lease was not given back has items its worker has not given back either.
_UNFINISHED = Q(state__in=(ReplayState.WAITING, ReplayState.RUNNING)) | Q(
    state=ReplayState.CANCELLED, lease_until__isnull=False
)


class Track(enum.Enum):
    """Replays by who is behind them. Each track is carried out beside the other, so that retries that are due never
    wait behind a long replay."""

    ASKED_FOR = "asked for"
    SCHEDULED = "scheduled"


def take(worker_id: uuid.UUID, lease_s: float, carrying: Collection[int], track: Track = Track.ASKED_FOR) -> int | None:
    """Take a replay that nobody carries out, or whose worker has let its lease run out; None if there is none.

    ``carrying`` are those that this worker carries out now.
    """
    free = Q(lease_until=None) | Q(lease_until__lt=Now()) | Q(worker=None) | Q(worker_id=worker_id)
    # What starts later is frozen now: until then its messages would be anybody's.
    due = Q(start_at=None) | Q(start_at__lte=Now()) | Q(unfrozen__isnull=False)
    unclaimed = Replay.objects.filter(_UNFINISHED, free, due, scheduled=track is Track.SCHEDULED).exclude(
        pk__in=carrying
    )
    for pk in unclaimed.order_by("pk").values_list("pk", flat=True)[:10]:
        lease_until = Now() + timedelta(seconds=lease_s)
        if Replay.objects.filter(_UNFINISHED, free, pk=pk).update(worker_id=worker_id, lease_until=lease_until):
            Replay.objects.filter(pk=pk, state=ReplayState.WAITING).update(state=ReplayState.RUNNING)
            return pk
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Orders:
    """What an operator wants of a replay now."""

    state: ReplayState
    rate: float | None


def renew(replay_id: int, worker_id: uuid.UUID, lease_s: float) -> Orders | None:
    """Prolong the lease; what is wanted of the replay, or None if another worker has it or it is gone."""
    held = Replay.objects.filter(pk=replay_id, worker_id=worker_id)
    if not held.update(lease_until=Now() + timedelta(seconds=lease_s)):
        return None
    return orders(replay_id)


def orders(replay_id: int) -> Orders | None:
    """What is wanted of a replay; None if it is gone."""
    found = Replay.objects.filter(pk=replay_id).values("state", "rate").first()
    return None if found is None else Orders(state=ReplayState(found["state"]), rate=found["rate"])


def give_up_lease(replay_id: int, worker_id: uuid.UUID) -> None:
    """Let another worker go on at once."""
    Replay.objects.filter(pk=replay_id, worker_id=worker_id).update(worker=None, lease_until=Now())


def put_off(replay_id: int, worker_id: uuid.UUID) -> bool:
    """Leave a replay that was taken to be frozen, and starts later, until then; false if it may go on."""
    early = Replay.objects.filter(pk=replay_id, worker_id=worker_id, state=ReplayState.RUNNING, start_at__gt=Now())
    return bool(early.update(state=ReplayState.WAITING, worker=None, lease_until=None))


def begin(replay_id: int, messages: Iterable[Outgoing]) -> int:
    """They are taken to be sent from now on: whoever is given one of them again may be sending it a second time.
    Returns the flight they are, to be ended by ``record``."""
    return ReplayFlight.objects.create(replay_id=replay_id, item_ids=[message.item_id for message in messages]).pk


def record(
    replay_id: int,
    sent: Sequence[uuid.UUID],
    skipped: Iterable[tuple[uuid.UUID, str]],
    flight_id: int | None = None,
) -> None:
    """What the broker has confirmed, and what it will never take with why. With that the flight is over: of its others
    it is known that they were not sent, or they have a note.

    Safe to repeat.
    """
    now = timezone.now()
    by_note: dict[str, list[uuid.UUID]] = {}
    for dead_letter_id, note in skipped:
        by_note.setdefault(storable.text(note, MAX_NOTE), []).append(dead_letter_id)
    for note, dead_letter_ids in by_note.items():
        transitions.skip(replay_id, dead_letter_ids, note, now)
    if sent or flight_id is not None:
        _land(replay_id, sent, flight_id, now)


@transaction.atomic
def _land(replay_id: int, sent: Sequence[uuid.UUID], flight_id: int | None, now: datetime) -> None:
    if sent:
        transitions.mark_sent(replay_id, sent, now)
    if flight_id is not None:
        ReplayFlight.objects.filter(pk=flight_id).delete()


def say(replay_id: int, worker_id: uuid.UUID, note: str) -> None:
    """Why it waits, in words; empty when all is well."""
    running = Replay.objects.filter(pk=replay_id, worker_id=worker_id, state=ReplayState.RUNNING)
    running.update(note=storable.text(note, MAX_NOTE))


def course(replay_id: int, worker_id: uuid.UUID) -> Course | None:
    """How a replay may go on, by its rules and the outcomes so far; None when it has no rules.

    Writes down what follows: the step of its canary, and that it is stopped.
    """
    replay = Replay.objects.get(pk=replay_id)
    rules = Rules(canary=replay.canary, stop_above_percent=replay.stop_above_percent, stop_on_same=replay.stop_on_same)
    if not rules.judges:
        return None
    all_of_it = _outcomes(replay.items.all())
    lately = _outcomes(replay.items.filter(outcome_at__gt=replay.judged_since)) if replay.judged_since else all_of_it
    found = judge(rules, replay.step, all_of_it, lately)
    running = Replay.objects.filter(pk=replay_id, worker_id=worker_id, state=ReplayState.RUNNING)
    if found.stop:
        _stop(running, replay, found.stop)
    elif found.step != replay.step:
        running.update(step=found.step)
    return found


@transaction.atomic
def _stop(running: QuerySet[Replay], replay: Replay, why: str) -> None:
    if running.update(state=ReplayState.STOPPED, note=why):
        audit.record(Action.REPLAY_STOPPED, f"replay {replay.pk}", actor=None, detail=why)


def _outcomes(items: QuerySet[ReplayItem]) -> Outcomes:
    same = Q(state=ReplayItemState.FAILED_AGAIN, group__isnull=False, dead_letter__group=F("group"))
    return Outcomes(
        **items.aggregate(
            unknown=Count("pk", filter=Q(state=ReplayItemState.SENT)),
            processed=Count("pk", filter=Q(state=ReplayItemState.PROCESSED)),
            failed_again=Count("pk", filter=Q(state=ReplayItemState.FAILED_AGAIN)),
            same=Count("pk", filter=same),
        )
    )


@transaction.atomic
def finish(replay_id: int, worker_id: uuid.UUID, worker_name: str) -> bool:
    """The replay is done, if nothing of it is waiting any more; false if something is."""
    running = Replay.objects.filter(pk=replay_id, worker_id=worker_id, state=ReplayState.RUNNING)
    done = running.filter(unfrozen__isnull=True).exclude(items__state=ReplayItemState.WAITING)
    if not done.update(state=ReplayState.DONE, finished_at=timezone.now(), worker=None, lease_until=None, note=""):
        return False
    # Those of workers that ended: nothing is to be sent again.
    ReplayFlight.objects.filter(replay_id=replay_id).delete()
    replay = Replay.objects.get(pk=replay_id)
    if not replay.routine:
        counts = asdict(progress(replay))
        audit.record(Action.REPLAY_DONE, f"replay {replay_id}", actor=None, actor_name=worker_name, data=counts)
    return True


@transaction.atomic
def clear_cancelled(replay_id: int, worker_id: uuid.UUID) -> None:
    """Give back to dead what a cancelled replay has not sent, and then the lease."""
    cancelled = Replay.objects.filter(pk=replay_id, state=ReplayState.CANCELLED)
    if cancelled.filter(worker_id=worker_id).update(worker=None, lease_until=None):
        transitions.skip_waiting(replay_id, cancelled.values_list("note", flat=True).get(), timezone.now())

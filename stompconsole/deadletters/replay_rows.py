"""A replay as the worker that carries it out reads and writes it: its lease, its items by the portion, its end.

Synchronous, each function by itself; times of the lease by the database's clock. A worker that has lost its lease may
still write what it knows: states of items only change from the state that is expected.
"""

from __future__ import annotations

import enum
import uuid
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.db.models import Count, F, Q, QuerySet
from django.db.models.functions import Now
from django.utils import timezone

from stompconsole import audit
from stompconsole.audit import Action
from stompconsole.brokers import Wanted
from stompconsole.deadletters import reach, storable, transitions, versions
from stompconsole.deadletters.judging import Course, Outcomes, Rules, judge
from stompconsole.deadletters.operations import Message, Refusal
from stompconsole.deadletters.outcomes import progress
from stompconsole.delivery.envelope import Earlier
from stompconsole.delivery.specs import BrokerSpec
from stompconsole.errors import ConfigurationError
from stompconsole.models import (
    Broker,
    Consumer,
    DeadLetter,
    LetterEdit,
    Replay,
    ReplayItem,
    ReplayItemState,
    ReplayState,
)

PORTION = 500
"""Items sent before their receipts are waited for."""

PORTION_BYTES = 16 * 2**20
"""Bodies held in memory at once, unless a single one is larger."""

MAX_NOTE = 2_000
"""Characters of a broker's words that are kept."""

CONSUMER_DELETED = "Its consumer has been deleted: which broker to send it to is not known."
NO_ORIGIN = (
    "Where it came from is not known, since the broker did not say when it dead-lettered it, and the plan names no"
    " destination for such messages."
)

# A cancelled one whose lease was not given back has items its worker has not given back either.
_UNFINISHED = Q(state__in=(ReplayState.WAITING, ReplayState.RUNNING)) | Q(
    state=ReplayState.CANCELLED, lease_until__isnull=False
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """One dead letter to be sent again, with the headers it was captured with. ``wanted`` is the subscription of
    ``consumer`` that it came by; ``in_doubt``: it was sent before, and the broker may have it; ``earlier`` is what a
    retry goes on from."""

    item_id: int
    dead_letter_id: uuid.UUID
    broker: BrokerSpec
    consumer: str
    wanted: Wanted
    in_doubt: bool
    earlier: Earlier | None = None
    headers: dict[str, str] = field(repr=False)
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A holding queue, where messages wait whose bodies are not stored."""

    broker: BrokerSpec
    destination: str


@dataclass(slots=True, kw_only=True)
class Portion:
    """The next items. ``last_item`` is 0 when there are none; ``unsendable`` says why by dead letter,
    ``trouble`` why by name of a broker that can't be used as its row stands. ``held`` is where others of them wait."""

    last_item: int = 0
    outgoing: list[Outgoing] = field(default_factory=list)
    unsendable: dict[uuid.UUID, str] = field(default_factory=dict)
    trouble: dict[str, str] = field(default_factory=dict)
    held: set[Held] = field(default_factory=set)


class Lane(enum.Enum):
    """Replays by who is behind them. Each lane is carried out beside the other, so that retries that are due never
    wait behind a long replay."""

    ASKED_FOR = "asked for"
    SCHEDULED = "scheduled"


def take(worker_id: uuid.UUID, lease_s: float, carrying: Collection[int], lane: Lane = Lane.ASKED_FOR) -> int | None:
    """Take a replay that nobody carries out, or whose worker has let its lease run out; None if there is none.

    ``carrying`` are those that this worker carries out now.
    """
    free = Q(lease_until=None) | Q(lease_until__lt=Now()) | Q(worker=None) | Q(worker_id=worker_id)
    # What starts later is frozen now: until then its messages would be anybody's.
    due = Q(start_at=None) | Q(start_at__lte=Now()) | Q(unfrozen__isnull=False)
    unclaimed = Replay.objects.filter(_UNFINISHED, free, due, scheduled=lane is Lane.SCHEDULED).exclude(pk__in=carrying)
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


def portion(replay_id: int, after_item: int, without: Collection[str], most: int = PORTION) -> Portion:
    """The next waiting items after ``after_item``, ``most`` of them at most, in the order they were chosen, less those
    of the brokers in ``without``. Empty once the replay is not running any more. Reads only: see ``begin``."""
    chosen = _next_items(replay_id, after_item, without, most)
    return portion_of(ReplayItem.objects.filter(pk__among=chosen), Portion(last_item=chosen[-1] if chosen else 0), {})


_READ = (
    *("replay", "note", "begun_at", "edit", "dead_letter"),
    *(f"dead_letter__{name}" for name in ("consumer", "origin", "headers", "body", "sealed", "held", "held_on")),
)
"""What is read of an item: what else is in a dead letter is as large as its body, and is not sent."""

_READ_OF_RETRIES = ("attempts", "retry_step", "first_failed_at", "failed_at")
_READ_OF_EDITS = ("headers", "body", "sealed")
"""Of the few that have one, by themselves: a join costs every row its columns."""


def portion_of(items: QuerySet[ReplayItem], result: Portion, bodies: Mapping[uuid.UUID, bytes]) -> Portion:
    """These items as they are to be sent; ``bodies`` are those that their rows do not have."""
    rows = list(items.select_related("dead_letter").only(*_READ).order_by("pk"))
    # Each once: in a join every line would have them, and their passwords would be decrypted as often.
    replays = Replay.objects.in_bulk({item.replay_id for item in rows})
    consumers = Consumer.objects.select_related("broker").in_bulk({item.dead_letter.consumer_id for item in rows})
    holders = Broker.objects.in_bulk({item.dead_letter.held_on_id for item in rows})
    edits = _by_id(LetterEdit.objects.only(*_READ_OF_EDITS), {item.edit_id for item in rows if item.edit_id})
    retries = {item.dead_letter_id for item in rows if replays[item.replay_id].scheduled}
    earlier = _by_id(DeadLetter.objects.only(*_READ_OF_RETRIES), retries)
    specs: dict[int, BrokerSpec] = {}
    for item in rows:
        letter = item.dead_letter
        item.replay, consumer = replays[item.replay_id], consumers.get(letter.consumer_id)
        item.edit = edits.get(item.edit_id)
        if consumer is None:
            result.unsendable[letter.pk] = CONSUMER_DELETED
        elif not (item.replay.destination or letter.origin or item.replay.unknown_to):
            result.unsendable[letter.pk] = NO_ORIGIN
        elif letter.held and letter.pk not in bodies:
            where = _spec(holders.get(letter.held_on_id) or consumer.broker, specs, result)
            result.held |= {Held(broker=where, destination=letter.held)} if where is not None else set()
        elif (broker := _spec(consumer.broker, specs, result)) is not None:
            _add(result, item, consumer, broker, bodies.get(letter.pk))
    for place, message in enumerate(result.outgoing):
        if (retry := earlier.get(message.dead_letter_id)) is not None:
            result.outgoing[place] = replace(message, earlier=_earlier(retry))
    return result


def _by_id(rows: QuerySet[Any], ids: Collection[Any]) -> Mapping[Any, Any]:
    return rows.in_bulk(ids) if ids else {}


def begin(_replay_id: int, messages: Iterable[Outgoing]) -> None:
    """They are taken to be sent from now on: whoever is given one of them again may be sending it a second time."""
    items = ReplayItem.objects.filter(pk__among=[message.item_id for message in messages])
    items.update(begun_at=timezone.now())


def _next_items(replay_id: int, after_item: int, without: Collection[str], most: int) -> list[int]:
    if not Replay.objects.filter(pk=replay_id, state=ReplayState.RUNNING).exists():
        return []
    waiting = ReplayItem.objects.filter(replay_id=replay_id, state=ReplayItemState.WAITING, pk__gt=after_item)
    if without:
        waiting = waiting.exclude(dead_letter__consumer__broker__name__in=without)
    items = list(waiting.order_by("pk").values_list("pk", "dead_letter_id")[: min(most, PORTION)])
    sizes = dict(transitions.by_id([pk for _, pk in items]).values_list("pk", "body_size"))
    chosen: list[int] = []
    size = 0
    for item_id, dead_letter_id in items:
        size += sizes.get(dead_letter_id, 0)
        if chosen and size > PORTION_BYTES:
            break
        chosen.append(item_id)
    return chosen


def _spec(broker: Broker, specs: dict[int, BrokerSpec], result: Portion) -> BrokerSpec | None:
    try:
        if broker.pk not in specs:
            specs[broker.pk] = broker.spec()
    except ConfigurationError as error:
        result.trouble[broker.name] = str(error)
        return None
    return specs[broker.pk]


def _add(result: Portion, item: ReplayItem, consumer: Consumer, broker: BrokerSpec, held: bytes | None) -> None:
    match _to_send(item, held):
        case Refusal(reason=reason):
            result.unsendable[item.dead_letter_id] = reason
        case message:
            result.outgoing.append(_outgoing(item, consumer, broker, message))


def _to_send(item: ReplayItem, held: bytes | None) -> Message | Refusal:
    try:
        return versions.to_send(item, held)
    except ConfigurationError as error:
        return Refusal(reason=str(error))


def _outgoing(item: ReplayItem, consumer: Consumer, broker: BrokerSpec, message: Message) -> Outgoing:
    return Outgoing(
        item_id=item.pk,
        dead_letter_id=item.dead_letter_id,
        broker=broker,
        consumer=consumer.name,
        wanted=_wanted(item, consumer),
        in_doubt=bool(item.note) or item.begun_at is not None,
        headers=dict(message.headers),
        body=message.body,
    )


def _earlier(dead_letter: DeadLetter) -> Earlier:
    return Earlier(
        attempts=dead_letter.attempts,
        retry_step=dead_letter.retry_step,
        first_failed_at=dead_letter.first_failed_at or dead_letter.failed_at,
    )


def _wanted(item: ReplayItem, consumer: Consumer) -> Wanted:
    named = item.replay.destination or ("" if item.dead_letter.origin else item.replay.unknown_to)
    if named:
        return Wanted(destination=named, prefetch=1)
    return reach.subscription(consumer, item.dead_letter.origin)


def record(
    replay_id: int,
    sent: Sequence[uuid.UUID],
    skipped: Iterable[tuple[uuid.UUID, str]],
    unsent: Sequence[uuid.UUID] = (),
) -> None:
    """What the broker has confirmed, what it will never take with why, and what has certainly not been sent yet.

    Safe to repeat.
    """
    now = timezone.now()
    if sent:
        transitions.mark_sent(replay_id, sent, now)
    if unsent:
        waiting = ReplayItem.objects.filter(replay_id=replay_id, state=ReplayItemState.WAITING)
        waiting.filter(dead_letter_id__among=unsent).update(begun_at=None)
    by_note: dict[str, list[uuid.UUID]] = {}
    for dead_letter_id, note in skipped:
        by_note.setdefault(storable.text(note, MAX_NOTE), []).append(dead_letter_id)
    for note, dead_letter_ids in by_note.items():
        transitions.skip(replay_id, dead_letter_ids, note, now)


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

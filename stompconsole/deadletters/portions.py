"""The items of a replay, read by the portion, as the messages that are to be sent.

Owns what is in the way of a message before any broker is asked. Writes nothing, and makes no model of what it reads a
hundred thousand times: rows come as plain values.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from django.db.models import QuerySet

from stompconsole.brokers import Wanted
from stompconsole.deadletters import doubts, operations, reach, transitions, versions
from stompconsole.deadletters.operations import Message, Refusal
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
"""Items handed over at once. What came of them is written down while the next ones are on their way: what a crash
leaves in doubt is never more than two of these."""

PORTION_BYTES = 8 * 2**20
"""Bodies of one portion, unless a single one is larger. Three may be in memory: two on their way, one read ahead."""

CONSUMER_DELETED = "Its consumer has been deleted: which broker to send it to is not known."
NO_ORIGIN = (
    "Where it came from is not known, since the broker did not say when it dead-lettered it, and the plan names no"
    " destination for such messages."
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
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A holding queue, where messages wait whose bodies are not stored."""

    broker: BrokerSpec
    destination: str


@dataclass(slots=True, kw_only=True)
class Portion:
    """The next items. ``last_item`` is 0 when there are none; ``unsendable`` says why by dead letter,
    ``trouble`` why by name of a broker that can't be used as its row stands. ``held`` is where others of them wait, and
    ``flight_id`` says that it is begun: see ``replay_rows.begin``."""

    last_item: int = 0
    outgoing: list[Outgoing] = field(default_factory=list)
    unsendable: dict[uuid.UUID, str] = field(default_factory=dict)
    trouble: dict[str, str] = field(default_factory=dict)
    held: set[Held] = field(default_factory=set)
    flight_id: int | None = None


class _Row(NamedTuple):
    """What is read of an item and its dead letter: what else is in one is as large as its body, and is not sent."""

    item_id: int
    dead_letter_id: uuid.UUID
    note: str
    edit_id: int | None
    consumer_id: int | None
    origin: str
    headers: dict[str, str]
    body: bytes | memoryview
    sealed: bytes | memoryview | None
    held: str
    held_on_id: int | None


_COLUMNS = (
    *("pk", "dead_letter_id", "note", "edit_id"),
    *(f"dead_letter__{name}" for name in ("consumer_id", "origin", "headers", "body", "sealed", "held", "held_on_id")),
)
_OF_RETRIES = ("attempts", "retry_step", "first_failed_at", "failed_at")
_OF_EDITS = ("headers", "body", "sealed")
"""Of the few that have one, by themselves: a join costs every row its columns."""


def portion(replay_id: int, after_item: int, without: Collection[str], most: int = PORTION) -> Portion:
    """The next waiting items after ``after_item``, ``most`` of them at most, in the order they were chosen, less those
    of the brokers in ``without``. Empty once the replay is not running any more. Reads only: see
    ``replay_rows.begin``."""
    replay = _running(replay_id)
    chosen = _next_items(replay, after_item, without, most) if replay is not None else []
    if replay is None or not chosen:
        return Portion()
    return _read(replay, ReplayItem.objects.filter(pk__among=chosen), {}, last_item=chosen[-1])


def portion_of_held(replay_id: int, bodies: Mapping[uuid.UUID, bytes]) -> Portion:
    """The waiting items of a running replay whose ``bodies`` these are: their rows do not have them."""
    if (replay := _running(replay_id)) is None:
        return Portion()
    waiting = replay.items.filter(state=ReplayItemState.WAITING)
    return _read(replay, waiting.filter(dead_letter_id__in=bodies), bodies)


def _running(replay_id: int) -> Replay | None:
    return Replay.objects.filter(pk=replay_id, state=ReplayState.RUNNING).first()


def _read(
    replay: Replay, items: QuerySet[ReplayItem], bodies: Mapping[uuid.UUID, bytes], last_item: int = 0
) -> Portion:
    result = Portion(last_item=last_item)
    rows = [_Row(*values) for values in items.order_by("pk").values_list(*_COLUMNS)]
    reading = _Reading(replay, rows, result)
    for row in rows:
        reading.add(row, bodies.get(row.dead_letter_id))
    return result


def _next_items(replay: Replay, after_item: int, without: Collection[str], most: int) -> list[int]:
    waiting = replay.items.filter(state=ReplayItemState.WAITING, pk__gt=after_item)
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


class _Reading:
    """The rows of a portion, and what they share: each of it once, with its passwords decrypted once."""

    def __init__(self, replay: Replay, rows: Collection[_Row], result: Portion) -> None:
        self._replay = replay
        self._result = result
        self._consumers = _by_id(Consumer.objects.select_related("broker"), {row.consumer_id for row in rows})
        self._holders = _by_id(Broker.objects.all(), {row.held_on_id for row in rows})
        self._edits = _by_id(LetterEdit.objects.only(*_OF_EDITS), {row.edit_id for row in rows})
        retries = {row.dead_letter_id for row in rows} if replay.scheduled else set()
        self._retries = _by_id(DeadLetter.objects.only(*_OF_RETRIES), retries)
        self._in_flight = doubts.in_flight(replay.pk)
        self._operations = operations.kept(replay.edits)
        self._specs: dict[int, BrokerSpec] = {}
        self._wanted: dict[tuple[int, str], Wanted] = {}

    def add(self, row: _Row, body: bytes | None) -> None:
        """One more; ``body`` is its own where that is not stored."""
        consumer = self._consumers.get(row.consumer_id)
        if consumer is None:
            self._result.unsendable[row.dead_letter_id] = CONSUMER_DELETED
        elif not (self._replay.destination or row.origin or self._replay.unknown_to):
            self._result.unsendable[row.dead_letter_id] = NO_ORIGIN
        elif row.held and body is None:
            if (where := self._spec(self._holders.get(row.held_on_id) or consumer.broker)) is not None:
                self._result.held.add(Held(broker=where, destination=row.held))
        elif (broker := self._spec(consumer.broker)) is not None:
            self._add_message(row, consumer, broker, body)

    def _add_message(self, row: _Row, consumer: Consumer, broker: BrokerSpec, body: bytes | None) -> None:
        match self._message(row, body):
            case Refusal(reason=reason):
                self._result.unsendable[row.dead_letter_id] = reason
            case message:
                self._result.outgoing.append(
                    Outgoing(
                        item_id=row.item_id,
                        dead_letter_id=row.dead_letter_id,
                        broker=broker,
                        consumer=consumer.name,
                        wanted=self._wanted_of(row.origin, consumer),
                        in_doubt=bool(row.note) or row.item_id in self._in_flight,
                        earlier=self._earlier(row.dead_letter_id),
                        headers=message.headers,
                        body=message.body,
                    )
                )

    def _message(self, row: _Row, body: bytes | None) -> Message | Refusal:
        try:
            return versions.to_send(row, self._edits.get(row.edit_id), self._operations, body)
        except ConfigurationError as error:
            return Refusal(reason=str(error))

    def _spec(self, broker: Broker) -> BrokerSpec | None:
        try:
            if broker.pk not in self._specs:
                self._specs[broker.pk] = broker.spec()
        except ConfigurationError as error:
            self._result.trouble[broker.name] = str(error)
            return None
        return self._specs[broker.pk]

    def _wanted_of(self, origin: str, consumer: Consumer) -> Wanted:
        if (key := (consumer.pk, origin)) not in self._wanted:
            named = self._replay.destination or ("" if origin else self._replay.unknown_to)
            fixed = Wanted(destination=named, prefetch=1)
            self._wanted[key] = fixed if named else reach.subscription(consumer, origin)
        return self._wanted[key]

    def _earlier(self, dead_letter_id: uuid.UUID) -> Earlier | None:
        if (retry := self._retries.get(dead_letter_id)) is None:
            return None
        return Earlier(
            attempts=retry.attempts,
            retry_step=retry.retry_step,
            first_failed_at=retry.first_failed_at or retry.failed_at,
        )


def _by_id(rows: QuerySet[Any], ids: Collection[Any]) -> Mapping[Any, Any]:
    wanted = [pk for pk in ids if pk is not None]
    return rows.in_bulk(wanted) if wanted else {}

"""Freezing a choice to ids: dead letters that match become the items of one replay.

Whoever chooses the same dead letter at the same time loses it at the constraint ``one_active_replay_per_dead_letter``
and goes on with the rest. A small choice is frozen inside the transaction of its caller, a large one portion by portion
by the worker that carries the replay out; what has been dead without a break since it was chosen is no more than that.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Any

from django.core.exceptions import EmptyResultSet
from django.db import connection, transaction
from django.db.models import QuerySet
from django.db.models.constants import OnConflict
from django.utils import timezone

from stompconsole.deadletters import operations, storable, tallies, transitions
from stompconsole.deadletters.filters import Filters
from stompconsole.deadletters.plans import Plan
from stompconsole.models import (
    Consumer,
    DeadLetter,
    DeadLetterState,
    FailureGroup,
    Replay,
    ReplayItem,
    ReplayItemState,
    ReplayState,
)

if TYPE_CHECKING:
    from django.contrib.auth.models import User


IDS_PER_QUERY = 500

AT_ONCE = 2_000
"""What is more than this is not frozen while an operator waits, but by the worker."""

PORTION = 2_000
"""Dead letters a worker freezes in one transaction."""


def begin(selection: str, reason: str, actor: User | None, plan: Plan, group: FailureGroup | None = None) -> Replay:
    """The replay's row. Written before anything is read: on SQLite it makes its transaction the one writer."""
    return Replay.objects.create(
        selection=selection[:500],
        reason=storable.text(reason, 200),
        created_by=actor,
        group=group,
        destination=plan.destination,
        unknown_to=plan.unknown_to,
        rate=plan.rate,
        canary=list(plan.canary),
        stop_above_percent=plan.stop_above_percent,
        stop_on_same=plan.stop_on_same,
        start_at=plan.start_at,
        edits=operations.written(plan.edits),
    )


def begin_retries(selection: str, actor: User | None) -> Replay:
    """The row of a replay of what is scheduled, that somebody asks for."""
    return Replay.objects.create(selection=selection[:500], created_by=actor, scheduled=True)


def begin_routine(selection: str, consumer: Consumer | None) -> Replay:
    """The row of a replay of what is scheduled and due, of one consumer."""
    return Replay.objects.create(selection=selection[:500], scheduled=True, routine=True, consumer=consumer)


def freeze(replay: Replay, choices: Iterable[QuerySet[DeadLetter]]) -> int:
    """Make what is dead among ``choices``, or scheduled if it is a replay of that, the items of ``replay``; returns
    how many there are."""
    # In the order of ids, so that two of these over the same rows wait for each other one way round.
    ids = sorted(pk for rows in choices for pk in rows.order_by().values_list("pk", flat=True).iterator())
    replay.total = sum(_freeze(replay, some) for some in portions(ids))
    replay.save(update_fields=["total"])
    _tell_groups(replay)
    return replay.total


def freeze_matching(replay: Replay, filters: Filters, as_of: datetime) -> int:
    """The same of all that match since ``as_of``: now or, if they are many, by the worker that takes ``replay``, before
    it sends the first of them."""
    settled = filters.settled(as_of)
    rows = settled.frozen(as_of, state_of(replay))
    if (count := rows.count()) <= AT_ONCE:
        return freeze(replay, [rows])
    _leave_to_the_worker(replay, settled, as_of, count)
    return count


def _leave_to_the_worker(replay: Replay, filters: Filters, as_of: datetime, count: int) -> None:
    replay.total = count
    replay.unfrozen = {"filters": asdict(filters), "as_of": as_of.isoformat()}
    replay.save(update_fields=["total", "unfrozen"])
    if filters.group and not replay.scheduled:
        FailureGroup.objects.filter(pk=int(filters.group)).update(last_replay=replay)


@transaction.atomic
def go_on(replay_id: int, worker_id: uuid.UUID) -> bool:
    """Freeze some more of what was chosen, if this worker carries the replay out; whether there may be more yet.

    A transaction each: nobody else who writes waits for a hundred thousand rows.
    """
    if (replay := _carried_out(replay_id, worker_id)) is None or replay.unfrozen is None:
        return False
    choice = replay.unfrozen
    as_of = datetime.fromisoformat(choice["as_of"])
    rows = Filters.from_query(choice["filters"]).frozen(as_of, state_of(replay))
    # What was frozen is not in that state any more: those that still match are the next.
    ids = sorted(rows.order_by().values_list("pk", flat=True)[:PORTION])
    if sum(_freeze(replay, some) for some in portions(ids)):
        return True
    end(replay_id)
    return False


def end(replay_id: int) -> None:
    """No more of it is frozen: what it holds now is all."""
    total = ReplayItem.objects.filter(replay=replay_id).count()
    if Replay.objects.filter(pk=replay_id, unfrozen__isnull=False).update(unfrozen=None, total=total):
        _tell_groups(Replay.objects.get(pk=replay_id))


def _carried_out(replay_id: int, worker_id: uuid.UUID) -> Replay | None:
    """A running replay of this worker, locked: whoever cancels it waits until what is frozen with it is written."""
    running = Replay.objects.filter(pk=replay_id, worker_id=worker_id, state=ReplayState.RUNNING)
    # A write and not a lock for reading: on SQLite it makes its transaction the one writer.
    return running.get() if running.update(worker_id=worker_id) else None


def _freeze(replay: Replay, ids: Sequence[uuid.UUID]) -> int:
    """Make those with these ids items of ``replay``, but for what is not dead, or taken; returns how many."""
    state = state_of(replay)
    _insert_items(replay, transitions.by_id(ids).filter(state=state))
    cells = tallies.locked(transitions.by_id(ids))
    items = {item.dead_letter_id: item.pk for item in transitions.open_items(ids) if item.replay_id == replay.pk}
    frozen = transitions.those_in(cells, items, state)
    # Discarded, or sent and back, between the reading and the lock: not ours any more.
    if gone := [pk for letter, pk in items.items() if letter not in frozen]:
        ReplayItem.objects.filter(pk__in=gone).delete()
    return transitions.turn_locked(frozen, DeadLetterState.REPLAYING, timezone.now())


def _tell_groups(replay: Replay) -> None:
    # Retries that are due now and then would hide what became of a person's replay.
    if not replay.scheduled:
        groups = ReplayItem.objects.filter(replay=replay).order_by().values("group").distinct()
        FailureGroup.objects.filter(pk__in=groups).update(last_replay=replay)


def state_of(replay: Replay) -> DeadLetterState:
    """The state of what a replay is made of."""
    return DeadLetterState.SCHEDULED if replay.scheduled else DeadLetterState.DEAD


def by_id(ids: Sequence[uuid.UUID]) -> Iterator[QuerySet[DeadLetter]]:
    """The dead letters with these ids, in portions a query can name."""
    return (transitions.by_id(some) for some in portions(ids))


def dead_by_id(ids: Sequence[uuid.UUID]) -> Iterator[QuerySet[DeadLetter]]:
    """Those of them that are dead."""
    return (rows.filter(state=DeadLetterState.DEAD) for rows in by_id(ids))


def scheduled_by_id(ids: Sequence[uuid.UUID]) -> Iterator[QuerySet[DeadLetter]]:
    """Those of them that are to be tried again."""
    return (rows.filter(state=DeadLetterState.SCHEDULED) for rows in by_id(ids))


def _insert_items(replay: Replay, rows: QuerySet[DeadLetter]) -> None:
    """INSERT … SELECT: a hundred thousand ids stay in the database, and the writer's place is held for a moment only.

    In the order of ids, so that two of these over the same rows wait for each other one way round.
    """
    try:
        select, params = rows.order_by().values("id", "group_id").query.get_compiler(connection=connection).as_sql()
    except EmptyResultSet:
        return
    quote, meta = connection.ops.quote_name, ReplayItem._meta  # noqa: SLF001 - Django's documented model API
    # Every column that takes no NULL: SQLite would ignore the row over it, as over the constraint.
    values: dict[str, Any] = {
        "replay": replay.pk,
        "state": ReplayItemState.WAITING.value,
        "active": True,
        "doubtful": False,
        "note": "",
    }
    by_name = {field.name: field for field in meta.concrete_fields}
    fields = [by_name[name] for name in ("dead_letter", "group", *values)]
    columns = ", ".join(quote(str(field.column)) for field in fields)
    places = ", ".join(["%s"] * len(values))
    insert = connection.ops.insert_statement(on_conflict=OnConflict.IGNORE)
    suffix = connection.ops.on_conflict_suffix_sql(fields, OnConflict.IGNORE, [], [])
    # "WHERE 1 = 1": without it SQLite takes ON CONFLICT for the condition of a join.
    sql = (
        f"{insert} {quote(meta.db_table)} ({columns}) "  # noqa: S608 - names of our own model
        f"SELECT chosen.{quote('id')}, chosen.{quote('group_id')}, {places} FROM ({select}) chosen"
        f" WHERE 1 = 1 ORDER BY 1 {suffix}"
    )
    with connection.cursor() as cursor:
        cursor.execute(sql, [*values.values(), *params])


def portions(ids: Sequence[uuid.UUID], size: int = IDS_PER_QUERY) -> Iterator[Sequence[uuid.UUID]]:
    """These ids, ``size`` at a time."""
    return (ids[start : start + size] for start in range(0, len(ids), size))

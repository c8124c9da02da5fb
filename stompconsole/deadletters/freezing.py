"""Freezing a choice to ids: dead letters that match become the items of one replay, in the database alone.

Whoever chooses the same dead letter at the same time loses it at the constraint ``one_active_replay_per_dead_letter``
and goes on with the rest. Runs inside the transaction of its caller.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from django.core.exceptions import EmptyResultSet
from django.db import connection
from django.db.models import QuerySet
from django.db.models.constants import OnConflict
from django.utils import timezone

from stompconsole.deadletters import operations, storable, transitions
from stompconsole.deadletters.plans import Plan
from stompconsole.models import Consumer, DeadLetter, DeadLetterState, FailureGroup, Replay, ReplayItem, ReplayItemState

if TYPE_CHECKING:
    from django.contrib.auth.models import User


IDS_PER_QUERY = 500


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
    state = state_of(replay)
    for rows in choices:
        _insert_items(replay, rows)
    items = ReplayItem.objects.filter(replay=replay)
    frozen = transitions.of_items(items)
    transitions.lock(frozen)
    # Discarded, or sent and back, between the reading and the lock: not ours any more.
    states = frozen.values_list("pk", "state").iterator(chunk_size=2_000)
    for ids in _portions([pk for pk, found in states if found != state]):
        items.filter(dead_letter_id__in=ids).delete()
    replay.total = transitions.turn(frozen, DeadLetterState.REPLAYING, timezone.now())
    replay.save(update_fields=["total"])
    if not replay.scheduled:
        # Retries that are due now and then would hide what became of a person's replay.
        FailureGroup.objects.filter(pk__in=items.order_by().values("group").distinct()).update(last_replay=replay)
    return replay.total


def state_of(replay: Replay) -> DeadLetterState:
    """The state of what a replay is made of."""
    return DeadLetterState.SCHEDULED if replay.scheduled else DeadLetterState.DEAD


def by_id(ids: Sequence[uuid.UUID]) -> Iterator[QuerySet[DeadLetter]]:
    """The dead letters with these ids, in portions a query can name."""
    return (DeadLetter.objects.filter(pk__in=some) for some in _portions(ids))


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


def _portions(ids: Sequence[uuid.UUID]) -> Iterator[Sequence[uuid.UUID]]:
    return (ids[start : start + IDS_PER_QUERY] for start in range(0, len(ids), IDS_PER_QUERY))

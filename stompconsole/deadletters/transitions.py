"""The only place where dead letters and replay items change state.

``dead -> replaying -> sent -> processed | dead``, ``dead -> discarded -> dead``; a message that dies once more
after it was processed comes back as dead. What is parked to be tried again is ``scheduled`` where another would be
dead; it goes ``-> replaying`` when it is due, and ``-> dead -> scheduled`` when that is cancelled and undone. An item
is *open* while it is waiting or sent. A dead letter has at most one open item, waiting while it is replaying, sent
while it is sent, so an outcome that names another replay is a copy of an older one: it is kept as a failure and decides
nothing.

Each function is one transaction that first takes the locks of its rows. Each update names the state it expects:
the message may be handled, or die again, before the worker that sent it writes ``sent``, and the outcome wins.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from django.db import connection, transaction
from django.db.models import Case, Count, F, Q, QuerySet, Value, When
from django.db.models.functions import Coalesce

from stompconsole.deadletters import doubts, tallies
from stompconsole.deadletters.locks import lock, write_first
from stompconsole.models import DeadLetter, DeadLetterState, ReplayFlight, ReplayItem, ReplayItemState, lookups

__all__ = ["lock", "write_first"]

OPEN = (ReplayItemState.WAITING, ReplayItemState.SENT)
"""States of an item whose outcome is still to come."""

COUNTED = F("replays") + Case(When(state=DeadLetterState.REPLAYING, then=Value(1)), default=Value(0))
"""One replay more, unless its SEND was counted when it was recorded."""


Cells = Mapping[uuid.UUID, tallies.Cell]
"""Where dead letters whose locks are held are counted."""


def by_id(dead_letter_ids: Collection[uuid.UUID]) -> QuerySet[DeadLetter]:
    """The dead letters with these ids."""
    return DeadLetter.objects.filter(pk__among=dead_letter_ids)


@transaction.atomic
def mark_sent(replay_id: int, dead_letter_ids: Collection[uuid.UUID], now: datetime) -> int:
    """The broker has confirmed these: waiting items become sent, unless their outcome is known already.

    Returns how many became sent.
    """
    if connection.vendor == "postgresql":
        return _mark_sent_at_once(replay_id, dead_letter_ids, now)
    rows = by_id(dead_letter_ids)
    lock(rows)
    items = ReplayItem.objects.filter(dead_letter_id__among=dead_letter_ids, active=True)
    # Nearly always all of them: then the rows are counted and changed by the database, and none is read.
    if not _all_wait(replay_id, items, len(dead_letter_ids)):
        waiting = _waiting_of(replay_id, dead_letter_ids)
        rows, items = by_id(waiting.values()), _still_waiting(waiting)
    turn(rows.filter(state=DeadLetterState.REPLAYING), DeadLetterState.SENT, now, replays=F("replays") + 1)
    return items.update(state=ReplayItemState.SENT, active=False, sent_at=now)


_SENT = """
WITH locked AS (
    SELECT id FROM stompconsole_deadletter WHERE id = ANY(%(ids)s::uuid[]) ORDER BY id FOR NO KEY UPDATE
), items AS (
    UPDATE stompconsole_replayitem SET state = 'sent', active = false, sent_at = %(now)s
    WHERE dead_letter_id = ANY(ARRAY(SELECT id FROM locked)) AND active
    AND replay_id + 0 = %(replay)s AND state || '' = 'waiting'
    RETURNING dead_letter_id
), letters AS (
    UPDATE stompconsole_deadletter SET state = 'sent', state_at = %(now)s, replays = replays + 1
    WHERE id = ANY(ARRAY(SELECT dead_letter_id FROM items)) AND state || '' = 'replaying'
    RETURNING group_id, origin, worker, day
), counted AS (
    SELECT group_id, origin, worker, day, count(*) AS count FROM letters
    WHERE group_id IS NOT NULL GROUP BY group_id, origin, worker, day
), tallied AS (
    INSERT INTO stompconsole_lettertally (group_id, origin, worker, day, state, count)
    SELECT group_id, origin, worker, day, 'replaying', -count FROM counted
    UNION ALL SELECT group_id, origin, worker, day, 'sent', count FROM counted
)
SELECT count(*) FROM items
"""
"""What ``mark_sent`` does, as one statement: of a replay without limits it is what all else waits for.

Arrays, and conditions that no index has: there are no statistics yet on items that have just been made, and a plan that
looks for those of the replay that wait goes through all of it for each. An update looks at a row once more when it had
to wait for it, so an outcome that comes first wins here too.
"""


def _mark_sent_at_once(replay_id: int, dead_letter_ids: Collection[uuid.UUID], now: datetime) -> int:
    with connection.cursor() as cursor:
        cursor.execute(_SENT, {"ids": lookups.array_of(dead_letter_ids), "replay": replay_id, "now": now})
        return int(cursor.fetchone()[0])


@transaction.atomic
def mark_processed(pairs: Sequence[tuple[uuid.UUID, int]], now: datetime) -> int:
    """These (dead letter, replay) were handled well: open items become processed. Returns how many did."""
    wanted = frozenset(pairs)
    dead_letter_ids = {dead_letter_id for dead_letter_id, _ in wanted}
    cells = tallies.locked(by_id(dead_letter_ids))
    chosen = {
        item.pk: item.dead_letter_id
        for item in open_items(dead_letter_ids)
        if (item.dead_letter_id, item.replay_id) in wanted
    }
    under_way = those_in(cells, chosen.values(), DeadLetterState.REPLAYING, DeadLetterState.SENT)
    turn_locked(under_way, DeadLetterState.PROCESSED, now, replays=COUNTED)
    return settle_items(chosen.keys(), ReplayItemState.PROCESSED, now)


def open_items(dead_letter_ids: Collection[uuid.UUID]) -> QuerySet[ReplayItem]:
    """The open items of dead letters whose locks are held.

    By dead letter alone: PostgreSQL has no statistics on items that have just been made, takes a replay for a
    small thing, and would go through all of it each time.
    """
    return ReplayItem.objects.filter(dead_letter_id__among=dead_letter_ids, state__in=OPEN)


def settle_items(item_ids: Collection[int], state: ReplayItemState, now: datetime) -> int:
    """Give open items their outcome. Runs inside the transaction of its caller, which holds the locks."""
    return ReplayItem.objects.filter(pk__among=item_ids, state__in=OPEN).update(
        state=state, active=False, outcome_at=now, sent_at=Coalesce("sent_at", Value(now))
    )


@transaction.atomic
def skip(replay_id: int, dead_letter_ids: Collection[uuid.UUID], note: str, now: datetime) -> int:
    """These can't be sent, for the reason in ``note``: they are dead again. Returns how many were skipped."""
    cells = tallies.locked(by_id(dead_letter_ids))
    waiting = _waiting_of(replay_id, dead_letter_ids)
    turn_locked(those_in(cells, waiting.values(), DeadLetterState.REPLAYING), DeadLetterState.DEAD, now)
    return _still_waiting(waiting).update(state=ReplayItemState.SKIPPED, active=False, note=note, outcome_at=now)


@transaction.atomic
def skip_waiting(replay_id: int, note: str, now: datetime) -> int:
    """All of a replay that is not sent yet is dead again. Returns how many were skipped."""
    waiting = ReplayItem.objects.filter(replay_id=replay_id, state=ReplayItemState.WAITING)
    rows = of_items(waiting)
    lock(rows)
    turn(rows, DeadLetterState.DEAD, now)
    # A note on a waiting item says that the broker may have it, and so does the flight of a worker that ended.
    quiet = Q(note="") & ~Q(pk__among=doubts.in_flight(replay_id))
    said = Case(When(quiet, then=Value(note)), default=Value(doubts.MAY_ARRIVE))
    ReplayFlight.objects.filter(replay_id=replay_id).delete()
    return waiting.update(state=ReplayItemState.SKIPPED, active=False, note=said, outcome_at=now)


def of_items(items: QuerySet[ReplayItem]) -> QuerySet[DeadLetter]:
    """The dead letters of items, many perhaps. To be narrowed by what is asked of items, not of dead letters:
    PostgreSQL has no statistics yet on what has just been written, and with two conditions that it takes to be
    rare it may go through all items once for each dead letter.
    """
    return DeadLetter.objects.filter(pk__in=items.values("dead_letter_id"))


def _all_wait(replay_id: int, items: QuerySet[ReplayItem], count: int) -> bool:
    """Whether ``items`` are ``count`` of this replay that wait."""
    found = items.order_by().values_list("replay_id", "state").annotate(count=Count("pk"))
    return list(found) == [(replay_id, ReplayItemState.WAITING, count)]


def _waiting_of(replay_id: int, dead_letter_ids: Collection[uuid.UUID]) -> dict[int, uuid.UUID]:
    # The replay is not asked of the database: see open_items.
    found = open_items(dead_letter_ids).values_list("pk", "dead_letter_id", "replay_id", "state")
    return {
        pk: dead_letter_id
        for pk, dead_letter_id, of_replay, state in found
        if of_replay == replay_id and state == ReplayItemState.WAITING
    }


def _still_waiting(item_ids: Collection[int]) -> QuerySet[ReplayItem]:
    return ReplayItem.objects.filter(pk__among=item_ids, state=ReplayItemState.WAITING)


@transaction.atomic
def discard(rows: QuerySet[DeadLetter], now: datetime) -> int:
    """Discard what of ``rows`` is dead. Returns how many were."""
    lock(rows)
    return turn(rows.filter(state=DeadLetterState.DEAD), DeadLetterState.DISCARDED, now)


@transaction.atomic
def undo_discard(rows: QuerySet[DeadLetter], not_before: datetime, now: datetime) -> int:
    """Make dead again what of ``rows`` was discarded since ``not_before``. Returns how many were."""
    lock(rows)
    discarded = rows.filter(state=DeadLetterState.DISCARDED, state_at__gte=not_before)
    return turn(discarded, DeadLetterState.DEAD, now)


@transaction.atomic
def cancel_scheduled(rows: QuerySet[DeadLetter], now: datetime) -> int:
    """Have what of ``rows`` is scheduled stay dead. Returns how many were. Its due time is kept for the undo."""
    lock(rows)
    return turn(rows.filter(state=DeadLetterState.SCHEDULED), DeadLetterState.DEAD, now)


@transaction.atomic
def undo_cancel(rows: QuerySet[DeadLetter], at: datetime, now: datetime) -> int:
    """Schedule anew what of ``rows`` was cancelled ``at`` that moment and has not been touched since. Returns how many
    were."""
    lock(rows)
    cancelled = rows.filter(state=DeadLetterState.DEAD, state_at=at, due_at__isnull=False)
    return turn(cancelled, DeadLetterState.SCHEDULED, now)


def turn(rows: QuerySet[DeadLetter], to: DeadLetterState, now: datetime, **fields: Any) -> int:
    """Give dead letters, whose locks are held, another state, and count them there. Returns how many they were."""
    tallies.moving(rows, to)
    return rows.update(state=to, state_at=now, **fields)


def those_in(cells: Cells, dead_letter_ids: Iterable[uuid.UUID], *states: DeadLetterState) -> Cells:
    """Those of these dead letters that are in one of the states."""
    return {pk: cells[pk] for pk in dead_letter_ids if pk in cells and cells[pk].state in states}


def turn_locked(cells: Cells, to: DeadLetterState, now: datetime, **fields: Any) -> int:
    """The same of those whose cells were read with their locks: one question less."""
    if not cells:
        return 0
    tallies.moved(cells.values(), to)
    return by_id(cells).update(state=to, state_at=now, **fields)

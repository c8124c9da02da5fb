"""How many dead letters there are, kept beside them: counting a million rows takes longer than a page may.

Owns the rows of ``LetterTally`` and ``GroupHour``. Each change of a dead letter adds to them in its own transaction,
while it holds the locks of the rows, so that the sums are right at every moment. Dead letters without a group, of
an older version, are counted once they get one.
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import date, datetime
from typing import Any, NamedTuple, TypeVar

from django.db import models, transaction
from django.db.models import Count, QuerySet

from stompconsole.deadletters.locks import lock_and_read, write_first
from stompconsole.models import DeadLetter, DeadLetterState, GroupHour, LetterTally

FOLD_AT_ONCE = 5_000
"""Rows folded in one transaction."""

Row = TypeVar("Row", bound=models.Model)


class Cell(NamedTuple):
    """What dead letters are counted under."""

    group_id: int | None
    origin: str
    worker: str
    day: date
    state: str


FIELDS = Cell._fields


def cell(row: DeadLetter) -> Cell:
    """Where one dead letter is counted."""
    return Cell(row.group_id, row.origin, row.worker, row.day, row.state)


def cell_of(values: Mapping[str, Any]) -> Cell:
    """The same of one that is a mapping yet."""
    return Cell(*(values[name] for name in FIELDS))


def locked(rows: QuerySet[DeadLetter]) -> dict[uuid.UUID, Cell]:
    """Where each of ``rows`` is counted, their locks taken: see ``locks.lock_and_read``."""
    return {pk: Cell(*values) for pk, *values in lock_and_read(rows, *FIELDS)}


def add(changes: Mapping[Cell, int]) -> None:
    """Add to the counts. Runs inside the transaction of its caller."""
    counted = {cell: count for cell, count in changes.items() if count and cell.group_id is not None}
    rows = [LetterTally(count=count, **cell._asdict()) for cell, count in counted.items()]
    LetterTally.objects.bulk_create(rows, batch_size=500)


def moving(rows: QuerySet[DeadLetter], to: DeadLetterState) -> None:
    """``rows`` are about to get the state ``to``; their locks are held."""
    _move(_counted(rows), to)


def moved(cells: Iterable[Cell], to: DeadLetterState) -> None:
    """Those that were counted in ``cells`` have the state ``to``; their locks are held."""
    _move(Counter(cells).items(), to)


def _move(counts: Iterable[tuple[Cell, int]], to: DeadLetterState) -> None:
    changes: Counter[Cell] = Counter()
    for found, count in counts:
        changes[found] -= count
        changes[found._replace(state=to.value)] += count
    add(changes)


def going(rows: QuerySet[DeadLetter]) -> None:
    """``rows`` are about to be deleted; their locks are held."""
    add({found: -count for found, count in _counted(rows)})


def died(deaths: Iterable[tuple[int, datetime]]) -> None:
    """Count deaths by (group, time)."""
    hours = Counter((group_id, at.replace(minute=0, second=0, microsecond=0)) for group_id, at in deaths)
    GroupHour.objects.bulk_create(
        GroupHour(group_id=group_id, hour=hour, count=count) for (group_id, hour), count in hours.items()
    )


def _counted(rows: QuerySet[DeadLetter]) -> Iterable[tuple[Cell, int]]:
    found = rows.order_by().values_list(*FIELDS).annotate(count=Count("pk"))
    return [(Cell(*values), count) for *values, count in found]


def fold() -> int:
    """Make one row of those that count the same; returns how many rows fewer there are. Safe at any time."""
    return _fold(LetterTally, FIELDS) + _fold(GroupHour, ("group_id", "hour"))


@transaction.atomic
def _fold(model: type[Row], fields: tuple[str, ...]) -> int:
    manager = model._default_manager  # noqa: SLF001 - Django's documented model API
    # Exactly these rows, locked: another that folds, or adds, must not be counted twice or forgotten.
    write_first()
    rows = manager.order_by("pk").select_for_update().values_list("pk", "count", *fields)[:FOLD_AT_ONCE]
    sums: Counter[tuple[object, ...]] = Counter()
    ids = []
    for pk, count, *values in rows:
        ids.append(pk)
        sums[tuple(values)] += count
    folded = [model(count=total, **dict(zip(fields, values, strict=True))) for values, total in sums.items() if total]
    if len(folded) == len(ids):
        return 0
    manager.filter(pk__in=ids).delete()
    manager.bulk_create(folded, batch_size=500)
    return len(ids) - len(folded)


@transaction.atomic
def recount() -> None:
    """Count everything anew, from the dead letters themselves. Nothing may change them meanwhile."""
    LetterTally.objects.all().delete()
    add(dict(_counted(DeadLetter.objects.exclude(group=None))))

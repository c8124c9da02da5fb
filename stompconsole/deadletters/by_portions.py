"""One act of an operator on very many dead letters, carried out some in a transaction, and some in a request.

Nobody else who writes is to wait for a hundred thousand rows, on SQLite longer than leases last, and no browser for a
million. What an act has not got to when it is broken off stays as it was.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import QuerySet

from stompconsole.deadletters import freezing, transitions
from stompconsole.models import DeadLetter

SLICE = 10_000
"""Dead letters that one request of a browser acts on: some seconds."""

LONGEST = timedelta(hours=6)
"""How long an act may go on, slice by slice."""


def began(going_on: datetime | None, now: datetime, since: datetime | None = None) -> datetime:
    """When an act began that goes on, which names it; now, for one that begins, or that can't have begun then: too long
    ago, or before ``since``, when what it acts on was counted."""
    if going_on is None or not now - LONGEST < going_on <= now or (since is not None and going_on < since):
        return now
    return going_on


def ids_of(rows: QuerySet[DeadLetter]) -> list[uuid.UUID]:
    """Their ids, in the order in which locks are taken."""
    return sorted(rows.order_by().values_list("pk", flat=True).iterator())


def slice_of(rows: QuerySet[DeadLetter], most: int | None) -> tuple[list[uuid.UUID], int]:
    """The ids of the first of them, ``most`` if that is given, and how many there are beyond."""
    if most is None or (count := rows.count()) <= most:
        return ids_of(rows), 0
    return list(rows.order_by("pk").values_list("pk", flat=True)[:most]), count - most


def by_the_portion(
    ids: Sequence[uuid.UUID],
    act: Callable[[QuerySet[DeadLetter]], int],
    tell: Callable[[int], None] = lambda _many: None,
    beyond: int = 0,
) -> int:
    """Act on these. Told with the first of them is how many it will be, with those ``beyond``; exactly, where one
    portion is all there is. Returns how many of these it was.
    """
    done = 0
    for number, some in enumerate(freezing.portions(ids, freezing.PORTION)):
        with transaction.atomic():
            done += act(transitions.by_id(some))
            if number == 0 and (many := done + len(ids) - len(some) + beyond):
                tell(many)
    return done

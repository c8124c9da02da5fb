"""One act of an operator on very many dead letters, carried out some in a transaction.

Nobody else who writes is to wait for a hundred thousand rows, on SQLite longer than leases last. What an act has not
got to when it is broken off stays as it was.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence

from django.db import transaction
from django.db.models import QuerySet

from stompconsole.deadletters import freezing, transitions
from stompconsole.models import DeadLetter


def ids_of(rows: QuerySet[DeadLetter]) -> list[uuid.UUID]:
    """Their ids, in the order in which locks are taken."""
    return sorted(rows.order_by().values_list("pk", flat=True).iterator())


def by_the_portion(
    ids: Sequence[uuid.UUID], act: Callable[[QuerySet[DeadLetter]], int], tell: Callable[[int], None]
) -> int:
    """Act on these. Told with the first of them is how many it will be; exactly, where one portion is all there is.
    Returns how many it was.
    """
    done = 0
    for number, some in enumerate(freezing.portions(ids, freezing.PORTION)):
        with transaction.atomic():
            done += act(transitions.by_id(some))
            if number == 0 and (many := done + len(ids) - len(some)):
                tell(many)
    return done

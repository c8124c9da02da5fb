"""The locks under which dead letters change, taken in one order by everybody."""

from __future__ import annotations

import uuid
from typing import Any

from django.db import connection
from django.db.models import QuerySet

from stompconsole.models import DeadLetter

_NOBODY = uuid.UUID(int=0)


def one_writer() -> bool:
    """Whether the database lets one write at a time, and has the others come back to see (SQLite)."""
    return not connection.features.has_select_for_update


def lock(rows: QuerySet[Any]) -> None:
    """Take the locks of rows, dead letters mostly, in the order of their ids, so that transactions over the same rows
    queue up and never wait for each other in a circle. ``rows`` joins no other table."""
    if one_writer():
        write_first()
        return
    for _ in _locking(rows).values_list("pk", flat=True).iterator(chunk_size=2_000):
        pass


def lock_and_read(rows: QuerySet[Any], *columns: str) -> list[tuple[Any, ...]]:
    """The same of hundreds, not of many more: the id and ``columns`` of each, read in the same question."""
    write_first()
    return list(_locking(rows).values_list("pk", *columns))


def _locking(rows: QuerySet[Any]) -> QuerySet[Any]:
    ordered = rows.order_by("pk")
    if one_writer():
        return ordered
    return ordered.select_for_update(no_key=connection.features.has_select_for_no_key_update)


def write_first() -> None:
    """Where one writer at a time is all there is, take its place now: a transaction that reads first may find, when it
    comes to write, that what it has read is out of date, and fails."""
    if one_writer():
        DeadLetter.objects.filter(pk=_NOBODY).update(attempts=0)

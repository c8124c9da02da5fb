"""Pages by position, not by number: as quick on the last as on the first, and rows that arrive shift nothing.

A position is ``<time>_<primary key>`` of the row at the edge; one that makes no sense is the first page.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar

from django.core.exceptions import ValidationError
from django.db.models import Model, Q, QuerySet

from stompconsole.dashboard.formdata import moment_from

PAGE_SIZE = 50
NOT_IN_LISTS = ("body", "headers", "traceback", "search_text", "sealed", "document")
"""Fields of a dead letter that are too big to read for a line."""

BROKER_SECRETS = ("password", "tls_key_password", "management_password")
SECRETS = tuple(f"broker__{name}" for name in BROKER_SECRETS)
"""Fields behind a consumer that no page reads."""

M = TypeVar("M", bound=Model)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeysetPage(Generic[M]):
    """Rows with the query strings of the pages beside it; "" where there is none."""

    rows: tuple[M, ...]
    newer: str = ""
    older: str = ""


def page_of(rows: QuerySet[M], query: Mapping[str, str], field: str, size: int = PAGE_SIZE) -> KeysetPage[M]:
    """The page a URL asks for by ``before`` or ``after``. ``rows`` are ordered by ``-field, -pk``. One query."""
    before, after = _position(rows, query.get("before", "")), _position(rows, query.get("after", ""))
    if after is not None:
        found = list(_newer(rows, after, field)[: size + 1])
        shown = found[:size][::-1]
        return _page(shown, field, newer=len(found) > size, older=True)
    found = list((rows if before is None else _older(rows, before, field))[: size + 1])
    return _page(found[:size], field, newer=before is not None, older=len(found) > size)


def page_ahead(rows: QuerySet[M], query: Mapping[str, str], field: str, size: int = PAGE_SIZE) -> KeysetPage[M]:
    """The same for times to come, the soonest first: ``before`` and ``after`` keep their meaning. One query."""
    before, after = _position(rows, query.get("before", "")), _position(rows, query.get("after", ""))
    if before is not None:
        found = list(_older(rows, before, field)[: size + 1])
        shown, sooner, later = found[:size][::-1], len(found) > size, True
    else:
        found = list((rows.order_by(field, "pk") if after is None else _newer(rows, after, field))[: size + 1])
        shown, sooner, later = found[:size], after is not None, len(found) > size
    if not shown:
        return KeysetPage(rows=())
    return KeysetPage(
        rows=tuple(shown),
        newer=_cursor(shown[-1], field) if later else "",
        older=_cursor(shown[0], field) if sooner else "",
    )


def neighbours(rows: QuerySet[M], row: M, field: str) -> tuple[Any, Any]:
    """Primary keys of the rows next to ``row``, the newer one first; None at an end. Two queries."""
    edge = (getattr(row, field), row.pk)
    newer, older = _newer(rows, edge, field), _older(rows, edge, field)
    return newer.values_list("pk", flat=True).first(), older.values_list("pk", flat=True).first()


def newer_than(rows: QuerySet[M], row: M, field: str) -> QuerySet[M]:
    """The rows that stand before ``row``."""
    return _newer(rows, (getattr(row, field), row.pk), field)


def older_than(rows: QuerySet[M], row: M, field: str) -> QuerySet[M]:
    """The rows that stand behind ``row``."""
    return _older(rows, (getattr(row, field), row.pk), field)


def _page(rows: list[M], field: str, *, newer: bool, older: bool) -> KeysetPage[M]:
    if not rows:
        return KeysetPage(rows=())
    return KeysetPage(
        rows=tuple(rows),
        newer=_cursor(rows[0], field) if newer else "",
        older=_cursor(rows[-1], field) if older else "",
    )


def _newer(rows: QuerySet[M], edge: tuple[datetime, Any], field: str) -> QuerySet[M]:
    return rows.filter(_beyond(edge, field, "gt")).order_by(field, "pk")


def _older(rows: QuerySet[M], edge: tuple[datetime, Any], field: str) -> QuerySet[M]:
    return rows.filter(_beyond(edge, field, "lt")).order_by(f"-{field}", "-pk")


def _beyond(edge: tuple[datetime, Any], field: str, side: str) -> Q:
    at, pk = edge
    # The first condition alone bounds the index scan; the second settles ties.
    return Q(**{f"{field}__{side}e": at}) & (Q(**{f"{field}__{side}": at}) | Q(**{f"pk__{side}": pk}))


def _cursor(row: Model, field: str) -> str:
    return f"{getattr(row, field).isoformat()}_{row.pk}"


def _position(rows: QuerySet[M], text: str) -> tuple[datetime, Any] | None:
    time, _, key = text.partition("_")
    try:
        pk = rows.model._meta.pk.to_python(key)  # noqa: SLF001 - public by its documentation
    except (ValueError, ValidationError):
        return None
    at = moment_from(time)
    return (at, pk) if at is not None and pk is not None else None

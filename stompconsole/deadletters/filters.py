"""What an operator chooses by: filters as they stand in a URL, and what a choice amounts to before it is confirmed.

Owns the reading of filters and the counts of the confirm page. Refuses to change anything. A filter that makes no
sense matches nothing: a slip in a URL must never widen what is replayed or discarded.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from urllib.parse import urlencode

from django.db.models import Count, Min, Q, QuerySet
from django.utils import timezone

from stompconsole.brokers.subscribing import TOPIC
from stompconsole.deadletters import reach
from stompconsole.models import Consumer, DeadLetter, DeadLetterState

MAX_FILTER_CHARS = 200
MAX_GROUPS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """Which dead letters. An empty field does not filter. ``text`` is looked for in error, body and ids."""

    consumer: str = ""
    state: str = ""
    text: str = ""
    error_type: str = ""

    @classmethod
    def from_query(cls, query: Mapping[str, str]) -> Filters:
        """From ``request.GET``, ``request.POST`` or a dict; other names are ignored, NULs taken out."""
        return cls(
            consumer=_clean(query.get("consumer")),
            state=_clean(query.get("state")),
            text=_clean(query.get("text")),
            error_type=_clean(query.get("error_type"), 255),
        )

    def query_string(self) -> str:
        """As a URL's query, fields that do not filter left out."""
        return urlencode({name: value for name, value in asdict(self).items() if value})

    def queryset(self) -> QuerySet[DeadLetter]:
        """The dead letters that match, newest first, in any state unless one is given."""
        rows = DeadLetter.objects.all()
        if self.consumer:
            rows = rows.filter(self._of_consumer())
        if self.state:
            rows = rows.filter(state=self.state)
        if self.error_type:
            rows = rows.filter(error_type=self.error_type)
        if self.text:
            rows = rows.filter(_mentions(self.text))
        return rows

    def frozen(self, as_of: datetime) -> QuerySet[DeadLetter]:
        """What matches and has been dead without a break since ``as_of``: never more than was dead then."""
        return self.queryset().filter(state=DeadLetterState.DEAD, state_at__lte=as_of)

    def describe(self) -> str:
        """In words, for the record of what was chosen."""
        parts = [
            f"of {self.consumer}" if self.consumer else "",
            f"with error {self.error_type}" if self.error_type else "",
            f"mentioning “{self.text}”" if self.text else "",
        ]
        return " ".join(["dead letters", *filter(None, parts)])

    def _of_consumer(self) -> Q:
        consumer = Consumer.objects.filter(name=self.consumer).only("pk").first()
        if consumer is None:
            return Q(consumer__isnull=True, consumer_name=self.consumer)
        return Q(consumer=consumer)


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """How many share a label."""

    label: str
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """What a choice amounts to. ``as_of`` and ``count`` go through the confirm form: they freeze what was counted.
    ``to_everyone`` are topics of which every subscriber would get a replay."""

    as_of: datetime
    count: int
    by_error: tuple[Group, ...]
    by_origin: tuple[Group, ...]
    oldest: datetime | None
    replayed_before: int
    without_origin: int
    without_consumer: int
    to_everyone: tuple[str, ...] = ()


def preview(filters: Filters) -> Preview:
    """Count what a replay or discard of all that match would touch, now. Three queries, and another one for topics."""
    as_of = timezone.now()
    return _preview(filters.frozen(as_of), as_of)


def preview_of(ids: list[uuid.UUID]) -> Preview:
    """The same for dead letters chosen one by one."""
    as_of = timezone.now()
    return _preview(DeadLetter.objects.filter(pk__in=ids, state=DeadLetterState.DEAD, state_at__lte=as_of), as_of)


def _preview(rows: QuerySet[DeadLetter], as_of: datetime) -> Preview:
    counts = rows.aggregate(
        count=Count("pk"),
        oldest=Min("failed_at"),
        replayed_before=Count("pk", filter=Q(replays__gt=0)),
        without_origin=Count("pk", filter=Q(origin="")),
        without_consumer=Count("pk", filter=Q(consumer__isnull=True)),
    )
    by_origin = _groups(rows, "origin")
    # Groups beyond those that are shown may be topics as well.
    topics = len(by_origin) == MAX_GROUPS or any(group.label.startswith(TOPIC) for group in by_origin)
    return Preview(
        as_of=as_of,
        by_error=_groups(rows, "error_type"),
        by_origin=by_origin,
        to_everyone=reach.reaching_everyone(rows) if topics else (),
        **counts,
    )


def _groups(rows: QuerySet[DeadLetter], field: str) -> tuple[Group, ...]:
    counted = rows.order_by().values_list(field).annotate(count=Count("pk")).order_by("-count", field)
    return tuple(Group(label=label, count=count) for label, count in counted[:MAX_GROUPS])


def _mentions(text: str) -> Q:
    found = (
        Q(error_type__icontains=text)
        | Q(error_message__icontains=text)
        | Q(search_text__icontains=text)
        | Q(correlation_id__icontains=text)
        | Q(message_id__icontains=text)
    )
    try:
        return found | Q(pk=uuid.UUID(text))
    except ValueError:
        return found


def _clean(value: str | None, limit: int = MAX_FILTER_CHARS) -> str:
    # Lone surrogates, as a broken percent-encoding can leave them, have no UTF-8 and would fail in the database.
    return (value or "").replace("\0", "").encode(errors="ignore").decode().strip()[:limit]

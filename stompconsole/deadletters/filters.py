"""What an operator chooses by: filters as they stand in a URL, and what a choice amounts to before it is confirmed.

Owns the reading of filters and the counts of the confirm page. Refuses to change anything. A filter that makes no
sense matches nothing: a slip in a URL must never widen what is replayed or discarded.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from datetime import date, datetime, time, timedelta
from urllib.parse import urlencode

from django.db.models import Count, Min, Q, QuerySet
from django.utils import timezone
from django.utils.dateparse import parse_date, parse_datetime

from stompconsole.brokers.subscribing import TOPIC
from stompconsole.deadletters import obstacles, reach, searching
from stompconsole.models import Consumer, DeadLetter, DeadLetterState, FailureGroup

MAX_FILTER_CHARS = 200
MAX_GROUPS = 20

NONE = "(none)"
"""In a URL: those that have no error type, origin or worker; nothing at all does not filter."""

_LIMITS = {"error_type": 255, "origin": 500, "worker": 300, "text": 500}
_BOUNDS = {"failed_after": "failed_at__gte", "failed_before": "failed_at__lt"}
_SPAN = re.compile(r"(?P<number>\d{1,6})(?P<unit>[smhd])")
_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """Which dead letters. An empty field does not filter. ``text`` is a search, see ``searching``; ``group`` the id of
    a failure group; ``failed_after`` and ``failed_before`` bound the time of the last failure: ISO 8601, or a span
    back from now such as ``90m``, ``24h`` or ``7d``."""

    consumer: str = ""
    state: str = ""
    text: str = ""
    error_type: str = ""
    group: str = ""
    origin: str = ""
    worker: str = ""
    day: str = ""
    failed_after: str = ""
    failed_before: str = ""

    @classmethod
    def from_query(cls, query: Mapping[str, str]) -> Filters:
        """From ``request.GET``, ``request.POST`` or a dict; other names are ignored, NULs taken out."""
        return cls(**{field.name: _clean(query.get(field.name), _LIMITS.get(field.name)) for field in fields(cls)})

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
        for name in ("error_type", "origin", "worker"):
            if value := getattr(self, name):
                rows = rows.filter(**{name: "" if value == NONE else value})
        if self.group:
            rows = rows.filter(group=int(self.group)) if _is_id(self.group) else rows.none()
        if self.day:
            day = _day(self.day)
            rows = rows.none() if day is None else rows.filter(day=day)
        for name, lookup in _BOUNDS.items():
            if text := getattr(self, name):
                at = moment(text)
                rows = rows.none() if at is None else rows.filter(**{lookup: at})
        return searching.search(rows, self.text)

    def problems(self) -> tuple[str, ...]:
        """What of this makes no sense and therefore finds nothing, a sentence each."""
        told = [f"group {self.group!r} is no id of a failure group."] if self.group and not _is_id(self.group) else []
        if self.state not in {*DeadLetterState.values, "all", ""}:
            told.append(f"state {self.state!r} is none of {', '.join(DeadLetterState.values)}.")
        if self.day and _day(self.day) is None:
            told.append(f"day {self.day!r} is no day: write it as 2026-11-23.")
        for name in _BOUNDS:
            text = getattr(self, name)
            if text and moment(text) is None:
                told.append(f"{name} {text!r} is no time: write 2026-11-23, 2026-11-23T14:00, or 90m, 24h, 7d back.")
        return (*told, *searching.problems(self.text))

    def settled(self, now: datetime) -> Filters:
        """The same with the times that it means ``now``, to be asked again later: ``24h`` would mean another time."""
        times = {name: at.isoformat() for name in _BOUNDS if (at := moment(getattr(self, name), now)) is not None}
        return replace(self, **times)

    def frozen(self, as_of: datetime, state: DeadLetterState = DeadLetterState.DEAD) -> QuerySet[DeadLetter]:
        """What matches and has been dead (or in ``state``) without a break since ``as_of``: never more than then."""
        return self.queryset().filter(state=state, state_at__lte=as_of)

    def describe(self) -> str:
        """In words, for the record of what was chosen."""
        parts = [
            f"of {self.consumer}" if self.consumer else "",
            f"with error {self.error_type}" if self.error_type else "",
            f"of “{_title(self.group)}”" if self.group else "",
            f"from {self.origin}" if self.origin else "",
            f"of worker {self.worker}" if self.worker else "",
            f"of {self.day}" if self.day else "",
            f"failed after {self.failed_after}" if self.failed_after else "",
            f"failed before {self.failed_before}" if self.failed_before else "",
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
    ``too_large`` is for the broker as it usually is; ``by_age`` how long ago they failed. ``to_everyone`` are topics of
    which every subscriber would get a replay."""

    as_of: datetime
    count: int
    by_error: tuple[Group, ...]
    by_origin: tuple[Group, ...]
    oldest: datetime | None
    replayed_before: int
    without_origin: int
    without_consumer: int
    replayed_often: int
    paused: int
    breaker_open: int
    too_large: int
    by_age: Mapping[str, int]
    to_everyone: tuple[str, ...] = ()

    @property
    def of_other_errors(self) -> int:
        """How many have errors beyond those in ``by_error``, which are the most frequent."""
        return _beyond(self.by_error, self.count)

    @property
    def of_other_origins(self) -> int:
        """The same of ``by_origin``."""
        return _beyond(self.by_origin, self.count)

    @property
    def has_origins(self) -> bool:
        """Whether anything of it can go back to where it came from; nothing at all can as well."""
        return self.without_origin < self.count or not self.count


def preview(filters: Filters, state: DeadLetterState = DeadLetterState.DEAD) -> Preview:
    """Count what an act on all that match and are in ``state`` would touch, now. A few queries, and another one for
    topics."""
    as_of = timezone.now()
    return _preview(filters.frozen(as_of, state), as_of)


def preview_of(ids: list[uuid.UUID], state: DeadLetterState = DeadLetterState.DEAD) -> Preview:
    """The same for dead letters chosen one by one."""
    as_of = timezone.now()
    return _preview(frozen_of(ids, as_of, state), as_of)


def frozen_of(
    ids: list[uuid.UUID], as_of: datetime, state: DeadLetterState = DeadLetterState.DEAD
) -> QuerySet[DeadLetter]:
    """Those of these that have been dead (or in ``state``) without a break since ``as_of``."""
    return DeadLetter.objects.filter(pk__in=ids, state=state, state_at__lte=as_of)


def _preview(rows: QuerySet[DeadLetter], as_of: datetime) -> Preview:
    counts = rows.aggregate(
        count=Count("pk"),
        oldest=Min("failed_at"),
        replayed_before=Count("pk", filter=Q(replays__gt=0)),
        without_origin=Count("pk", filter=Q(origin="")),
        without_consumer=Count("pk", filter=Q(consumer__isnull=True)),
        **obstacles.counts(as_of),
    )
    by_origin = _groups(rows, "origin")
    # Groups beyond those that are shown may be topics as well.
    topics = len(by_origin) == MAX_GROUPS or any(group.label.startswith(TOPIC) for group in by_origin)
    return Preview(
        as_of=as_of,
        by_error=_groups(rows, "error_type"),
        by_age=obstacles.by_age(counts),
        by_origin=by_origin,
        to_everyone=reach.reaching_everyone(rows) if topics else (),
        **counts,
    )


def _groups(rows: QuerySet[DeadLetter], field: str) -> tuple[Group, ...]:
    counted = rows.order_by().values_list(field).annotate(count=Count("pk")).order_by("-count", field)
    return tuple(Group(label=label, count=count) for label, count in counted[:MAX_GROUPS])


def _beyond(groups: tuple[Group, ...], count: int) -> int:
    # Not below: they are counted one after the other, and some may have gone meanwhile.
    return max(0, count - sum(group.count for group in groups)) if len(groups) == MAX_GROUPS else 0


def _title(group: str) -> str:
    found = FailureGroup.objects.filter(pk=int(group)).first() if _is_id(group) else None
    return str(found)[:200] if found is not None else f"group {group}"


def _is_id(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 19


def _day(text: str) -> date | None:
    try:
        return parse_date(text)
    except ValueError:
        return None


def moment(text: str, now: datetime | None = None) -> datetime | None:
    """A time as it stands in a URL: ISO 8601, or a span back from now; None for anything else."""
    if span := _SPAN.fullmatch(text):
        return (now or timezone.now()) - timedelta(seconds=int(span["number"]) * _SECONDS[span["unit"]])
    try:
        day = _day(text)
        found = datetime.combine(day, time()) if day is not None else parse_datetime(text)
    except ValueError:
        return None
    if found is None or found.year < 2:
        return None
    return found if timezone.is_aware(found) else timezone.make_aware(found)


def _clean(value: str | None, limit: int | None) -> str:
    # Lone surrogates, as a broken percent-encoding can leave them, have no UTF-8 and would fail in the database.
    return (value or "").replace("\0", "").encode(errors="ignore").decode().strip()[: limit or MAX_FILTER_CHARS]

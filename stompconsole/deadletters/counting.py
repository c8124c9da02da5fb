"""How many dead letters there are: from the tallies where they know, else counted up to a limit. Reads only."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta

from django.db.models import Count, Max, Min, Q, QuerySet, Sum
from django.utils import timezone

from stompconsole.deadletters.filters import NONE, Filters
from stompconsole.models import Consumer, DeadLetter, DeadLetterState, FailureGroup, GroupHour, LetterTally

MOST_COUNTED = 10_000
"""Rows counted one by one for a page: more would take longer than a person waits."""

HOURS = 24
"""Of a group's sparkline."""

FEW = 5_000
"""Dead letters that are looked for in their groups: of more, a page full is found soon by going through all."""

MOST_GROUPS = 100
"""Groups a query names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """Dead letters by state. ``complete`` is false when there were more than could be counted in time."""

    by_state: Mapping[str, int]
    complete: bool = True

    @property
    def total(self) -> int:
        """Of all states."""
        return sum(self.by_state.values())

    def of(self, state: str) -> int:
        """Of one state; empty text for all."""
        return self.by_state.get(state, 0) if state else self.total


class By(enum.StrEnum):
    """What dead letters can be grouped by. The value is the word in the URL."""

    ERROR = "error"
    ERROR_TYPE = "error-type"
    CONSUMER = "consumer"
    ORIGIN = "origin"
    WORKER = "worker"
    DAY = "day"


_FIELD = {
    By.ERROR: "group_id",
    By.ERROR_TYPE: "group__error_type",
    By.CONSUMER: "group__consumer_name",
    By.ORIGIN: "origin",
    By.WORKER: "worker",
    By.DAY: "day",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Heap:
    """Dead letters that share something. ``group`` is the failure group when they are grouped by error; ``hours`` are
    deaths by hour, oldest first, then. ``filters`` lead to the letters."""

    label: str
    dead: int
    total: int
    filters: Filters
    group: FailureGroup | None = None
    hours: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Heaps:
    """A page of heaps, largest first, and whether there are more."""

    rows: tuple[Heap, ...]
    more: bool


def by_state(filters: Filters) -> Counts:
    """The states of all that match, whatever state the filters name."""
    filters = replace(filters, state="")
    if _tallied(filters):
        sums = _tallies(filters).values_list("state").annotate(sum=Sum("count"))
        return Counts(by_state={state: total for state, total in sums if total > 0})
    # Limited before it is grouped: of a million that match no more than these are looked at.
    some = filters.queryset().order_by()[: MOST_COUNTED + 1].values_list("state", flat=True)
    found: dict[str, int] = {}
    for state in some:
        found[state] = found.get(state, 0) + 1
    return Counts(by_state=found, complete=sum(found.values()) <= MOST_COUNTED)


def narrowed(rows: QuerySet[DeadLetter], filters: Filters) -> QuerySet[DeadLetter]:
    """``rows``, which match ``filters``, with what the tallies know of where they are: fields that have no index of
    their own might have the database go through a million for the three that match."""
    if filters.group or not (filters.error_type or filters.origin or filters.worker or filters.day):
        return rows
    cells = _tallies(filters).filter(**({"state": filters.state} if filters.state else {}))
    found = cells.values("group").annotate(sum=Sum("count"), first=Min("day"), last=Max("day")).filter(sum__gt=0)
    heaped = list(found.values_list("group", "sum", "first", "last"))
    if DeadLetter.objects.filter(group=None).exists():
        return rows
    if not heaped:
        return rows.none()
    groups, counts, first, last = zip(*heaped, strict=True)
    rows = rows.filter(failed_at__gte=_midnight(min(first)), failed_at__lt=_midnight(max(last) + timedelta(days=1)))
    return rows.filter(group__in=groups) if sum(counts) <= FEW and len(groups) <= MOST_GROUPS else rows


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)


def heaps(filters: Filters, by: By, *, page: int = 0, size: int = 50, now: datetime | None = None) -> Heaps:
    """What is dead, in heaps. Text and times of the filters are not looked at: the tallies don't know them."""
    field = _FIELD[by]
    dead = Sum("count", filter=Q(state=DeadLetterState.DEAD), default=0)
    sums = _tallies(filters).values(field).annotate(dead=dead, total=Sum("count")).filter(dead__gt=0)
    found = list(sums.order_by("-dead", field)[page * size : (page + 1) * size + 1])
    rows = [(row[field], row["dead"], row["total"]) for row in found[:size]]
    if by is By.ERROR:
        return Heaps(rows=_of_groups(rows, now or timezone.now()), more=len(found) > size)
    return Heaps(rows=tuple(_heap(by, *row, filters) for row in rows), more=len(found) > size)


def of_group(group: FailureGroup) -> Counts:
    """One group's dead letters."""
    return by_state(Filters(group=str(group.pk)))


def hours_of(group_ids: Sequence[int], now: datetime) -> dict[int, tuple[int, ...]]:
    """Deaths of groups in each of the last ``HOURS`` hours, oldest first. One query."""
    last = now.replace(minute=0, second=0, microsecond=0)
    first = last - timedelta(hours=HOURS - 1)
    found = GroupHour.objects.filter(group__in=group_ids, hour__gte=first).order_by()
    series = {pk: [0] * HOURS for pk in group_ids}
    for group_id, hour, count in found.values_list("group_id", "hour").annotate(sum=Sum("count")):
        position = int((hour - first).total_seconds() // 3_600)
        if position < HOURS:
            series[group_id][position] += count
    return {pk: tuple(counts) for pk, counts in series.items()}


def _of_groups(rows: Sequence[tuple[int, int, int]], now: datetime) -> tuple[Heap, ...]:
    ids = [pk for pk, _, _ in rows]
    groups = FailureGroup.objects.select_related("owner", "consumer", "last_replay").in_bulk(ids)
    hours = hours_of(ids, now)
    return tuple(
        Heap(
            label=str(groups[pk]),
            dead=dead,
            total=total,
            filters=Filters(group=str(pk)),
            group=groups[pk],
            hours=hours[pk],
        )
        for pk, dead, total in rows
    )


def _heap(by: By, value: object, dead: int, total: int, filters: Filters) -> Heap:
    text = str(value) or NONE
    match by:
        case By.ERROR_TYPE:
            narrowed = replace(filters, error_type=text)
        case By.CONSUMER:
            narrowed = replace(filters, consumer=text)
        case By.ORIGIN:
            narrowed = replace(filters, origin=text)
        case By.WORKER:
            narrowed = replace(filters, worker=text)
        case By.DAY:
            narrowed = replace(filters, day=text)
        case By.ERROR:
            raise ValueError("failure groups are heaps of their own")
    return Heap(label=str(value), dead=dead, total=total, filters=narrowed)


def _tallied(filters: Filters) -> bool:
    return not (filters.text or filters.failed_after or filters.failed_before or filters.problems())


def _tallies(filters: Filters) -> QuerySet[LetterTally]:
    rows = LetterTally.objects.order_by()
    if filters.problems():
        return rows.none()
    if filters.consumer:
        rows = rows.filter(_of_consumer(filters.consumer))
    if filters.group:
        rows = rows.filter(group=int(filters.group))
    named = {"group__error_type": filters.error_type, "origin": filters.origin, "worker": filters.worker}
    chosen = {field: value for field, value in {**named, "day": filters.day}.items() if value}
    return rows.filter(**{field: "" if value == NONE else value for field, value in chosen.items()})


def _of_consumer(name: str) -> Q:
    consumer = Consumer.objects.filter(name=name).only("pk").first()
    if consumer is None:
        return Q(group__consumer__isnull=True, group__consumer_name=name)
    return Q(group__consumer=consumer)


def snoozed(now: datetime) -> int:
    """How many groups nobody wants to hear of until later."""
    found = FailureGroup.objects.filter(snoozed_until__gt=now).aggregate(count=Count("pk"))
    return int(found["count"])

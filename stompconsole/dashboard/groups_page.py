"""What the pages of failure groups show: lines, choices of grouping, sparklines, the result of the last replay."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from urllib.parse import urlencode

from django.db.models import Count
from django.urls import reverse
from django.utils.safestring import SafeString

from stompconsole.dashboard import drawing, formats
from stompconsole.dashboard.tabs import list_query
from stompconsole.deadletters import counting
from stompconsole.deadletters.counting import By, Heap, Heaps
from stompconsole.deadletters.selection import Filters
from stompconsole.models import DeadLetterState, FailureGroup, Replay, ReplayItem, ReplayItemState

_WORDS = {
    By.ERROR: "error",
    By.ERROR_TYPE: "error type",
    By.CONSUMER: "consumer",
    By.ORIGIN: "origin",
    By.WORKER: "worker",
    By.DAY: "day",
}
MOST_COUNTED = 10_000
"""Messages of a replay up to which its outcomes are counted for a line."""

_UNNAMED = {By.ORIGIN: "origin not known", By.WORKER: "no worker: dead-lettered by the broker"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """One choice among several."""

    label: str
    href: str
    current: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One heap as it is listed. ``fields`` name its dead letters in a form."""

    heap: Heap
    label: str
    href: str
    spark: SafeString | str
    fields: tuple[tuple[str, str], ...]
    snoozed: bool
    last_replay: LastReplay | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LastReplay:
    """What became of a group's dead letters in the replay that sent some of them last."""

    pk: int
    state: str
    created_at: datetime
    href: str
    words: str


def lines(heaps: Iterable[Heap], now: datetime) -> list[Line]:
    """Heaps as lines of the page. Two queries more for what became of their last replays."""
    found = list(heaps)
    replays = last_replays([heap.group for heap in found if heap.group is not None])
    return [replace(line(heap, now), last_replay=replays.get(heap.group.pk if heap.group else 0)) for heap in found]


def line(heap: Heap, now: datetime) -> Line:
    """A heap as a line of the page."""
    group = heap.group
    if group is not None:
        href = reverse("stompconsole:group", args=[group.pk])
    else:
        href = f"{reverse('stompconsole:dead-letters')}?{list_query(_dead(heap.filters))}"
    fields = {**asdict(_dead(heap.filters)), "scope": "matching"}
    return Line(
        heap=heap,
        label=heap.label,
        href=href,
        spark=_spark(heap.hours) if group is not None else "",
        fields=tuple((name, value) for name, value in fields.items() if value),
        snoozed=group is not None and group.snoozed_until is not None and group.snoozed_until > now,
    )


def unnamed(by: By) -> str:
    """What a heap without a label is called."""
    return _UNNAMED.get(by, "not known")


def _dead(filters: Filters) -> Filters:
    return Filters(**{**asdict(filters), "state": DeadLetterState.DEAD.value})


def _spark(hours: tuple[int, ...]) -> SafeString:
    return drawing.spark(hours, "deaths by hour over the last day", unit="an hour")


def hours_html(group: FailureGroup, now: datetime) -> SafeString:
    """The sparkline of one group."""
    return _spark(counting.hours_of([group.pk], now)[group.pk])


def choices(filters: Filters, current: By) -> list[Link]:
    """The groupings there are."""
    return [Link(label=_WORDS[by], href=f"?{_query(filters, by)}", current=by is current) for by in By]


def pages(filters: Filters, by: By, number: int, found: Heaps) -> Mapping[str, str]:
    """The queries of the pages beside this one, "" where there is none."""
    return {
        "before": _query(filters, by, number - 1) if number else "",
        "after": _query(filters, by, number + 1) if found.more else "",
    }


def _query(filters: Filters, by: By, page: int = 0) -> str:
    parts = {"by": "" if by is By.ERROR else by.value, **asdict(filters), "page": str(page) if page else ""}
    return urlencode({name: value for name, value in parts.items() if value})


def last_replay(group: FailureGroup) -> LastReplay | None:
    """How the last replay of this group went; two queries when there was one."""
    return last_replays([group]).get(group.pk)


def last_replays(groups: Sequence[FailureGroup]) -> dict[int, LastReplay]:
    """How the last replay of each went, by group; those that had none are left out. Of a replay of very many only that
    it was: counting them takes longer than a list may."""
    replays = Replay.objects.in_bulk({group.last_replay_id for group in groups if group.last_replay_id is not None})
    counted = {replay.pk for replay in replays.values() if replay.total <= MOST_COUNTED or len(groups) == 1}
    items = ReplayItem.objects.filter(replay__in=counted, group__in=groups).order_by()
    counts: dict[tuple[int, int | None], dict[str, int]] = defaultdict(dict)
    for replay_id, group_id, state, count in items.values_list("replay", "group", "state").annotate(count=Count("pk")):
        counts[replay_id, group_id][state] = count
    return {
        group.pk: _last(replay, counts[replay.pk, group.pk], replay.pk in counted)
        for group in groups
        if (replay := replays.get(group.last_replay_id or 0)) is not None
    }


def _last(replay: Replay, counts: Mapping[str, int], counted: bool) -> LastReplay:  # noqa: FBT001 - what was found out
    parts = [
        f"{formats.number(counts[state])} {word}"
        for state, word in (
            (ReplayItemState.PROCESSED, "processed"),
            (ReplayItemState.FAILED_AGAIN, "failed again"),
            (ReplayItemState.SENT, "sent and not yet handled"),
            (ReplayItemState.SKIPPED, "skipped"),
            (ReplayItemState.WAITING, "to send"),
        )
        if counts.get(state)
    ]
    rest = "nothing of it is kept any more" if counted else f"{replay.state}, {formats.number(replay.total)} messages"
    return LastReplay(
        pk=replay.pk,
        state=replay.state,
        created_at=replay.created_at,
        href=replay.get_absolute_url(),
        words=", ".join(parts) or rest,
    )

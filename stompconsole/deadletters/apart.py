"""What sets a failure group apart: some of its dead letters against some of what its consumer handled well.

Owns which are compared: of a large group the newest, the oldest and some in between; of what was handled that of the
same period, or what is nearest to it. Reads a bounded number of rows and bytes, whatever the size of the group.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

from stompconsole.brokers import BrokerKind, Dialect, dialect_for
from stompconsole.deadletters.contrasts import Contrast, contrasts
from stompconsole.deadletters.features import MOST_BYTES, Message
from stompconsole.delivery import envelope
from stompconsole.models import DeadLetter, FailureGroup, HandledSample

MOST_LETTERS = 240
MOST_HANDLED = 160
MOST_READ = 160 * 1024
"""Bytes of bodies that are looked into on either side: as many as a page has time for."""

FEWEST = 20
"""Messages that are compared however large they are. With fewer handled in the period, others nearby are taken."""

AROUND = timedelta(minutes=10)
"""What counts as the period of a group on either side of its failures."""

POINTS = 8
"""Places between a group's ends where some of its dead letters are taken."""

_SAYS_NOTHING = frozenset({"content-length"})
_KINDS = tuple(kind for kind in BrokerKind if kind is not BrokerKind.AUTO)

K = TypeVar("K")


@dataclass(frozen=True, slots=True, kw_only=True)
class Apart:
    """What was found, and what was compared: so many ``letters`` of ``of_letters``, with so many handled from
    ``since`` to ``until``. ``same_period`` is false when those are only the nearest there are."""

    contrasts: tuple[Contrast, ...]
    letters: int
    of_letters: int
    handled: int
    same_period: bool = True
    since: datetime | None = None
    until: datetime | None = None


def of_group(group: FailureGroup, by_state: Mapping[str, int]) -> Apart:
    """Compare a group; ``by_state`` are the counts of its dead letters. About twenty queries at most."""
    total = sum(by_state.values())
    period, times = _handled_in(group)
    if not period:
        return Apart(contrasts=(), letters=0, of_letters=total, handled=0)
    letters = DeadLetter.objects.filter(pk__in=_chosen(group, by_state))
    handled = HandledSample.objects.filter(pk__in=[pk for pk, _ in period])
    here = _messages(letters.values_list("headers", "document", "body_size", "origin"))
    there = _messages(handled.values_list("headers", "document", "size", "origin"))
    names = _team_names([*here, *there], _dialects(group))
    found = contrasts(_with_headers(here, names), _with_headers(there, names))
    return Apart(
        contrasts=found,
        letters=len(here),
        of_letters=max(total, len(here)),
        handled=len(there),
        same_period=times,
        since=min(at for _, at in period),
        until=max(at for _, at in period),
    )


def _chosen(group: FailureGroup, by_state: Mapping[str, int]) -> list[uuid.UUID]:
    """Some dead letters of each state, in proportion."""
    total = sum(by_state.values())
    found: dict[uuid.UUID, int] = {}
    for state, count in by_state.items():
        share = max(FEWEST, MOST_LETTERS * count // total)
        found.update(_of_state(group, state, share, whole=count <= share))
    return [pk for pk, _ in _within(list(found.items()))]


def _of_state(group: FailureGroup, state: str, share: int, *, whole: bool) -> Iterator[tuple[uuid.UUID, int]]:
    rows = DeadLetter.objects.filter(group=group, state=state).values_list("pk", "body_size")
    newest = rows.order_by("-failed_at", "-pk")
    if whole:
        yield from newest[:share]
        return
    third = share // 3
    yield from newest[:third]
    yield from rows.order_by("failed_at", "pk")[:third]
    span = group.last_failed_at - group.first_failed_at
    for point in range(1, POINTS + 1):
        at = group.first_failed_at + span * point / (POINTS + 1)
        yield from newest.filter(failed_at__lte=at)[: third // POINTS]


def _handled_in(group: FailureGroup) -> tuple[list[tuple[int, datetime]], bool]:
    """Samples of what was handled well, oldest first, and whether they are of the same period."""
    if group.consumer_id is None:
        return [], True
    rows = HandledSample.objects.filter(consumer=group.consumer_id).order_by("at").values_list("pk", "at", "size")
    everything = list(rows)
    start, end = group.first_failed_at - AROUND, group.last_failed_at + AROUND
    inside = [row for row in everything if start <= row[1] <= end]
    same = len(inside) >= FEWEST or len(inside) == len(everything)
    if not same:
        nearest = sorted(everything, key=lambda row: max(start - row[1], row[1] - end, timedelta()))
        inside = sorted(nearest[:MOST_HANDLED], key=lambda row: row[1])
    some = _spread(inside, MOST_HANDLED)
    times = {pk: at for pk, at, _ in some}
    return [(pk, times[pk]) for pk, _ in _within([(pk, size) for pk, _, size in some])], same


def _within(sized: Sequence[tuple[K, int]]) -> list[tuple[K, int]]:
    """As many, evenly spread, as can be read in time."""
    read = [size if size <= MOST_BYTES else 0 for _, size in sized]
    together = sum(read)
    if together <= MOST_READ:
        return list(sized)
    return _spread(sized, max(FEWEST, len(sized) * MOST_READ // together))


def _spread(rows: Sequence[K], most: int) -> list[K]:
    if len(rows) <= most:
        return list(rows)
    return [rows[index * len(rows) // most] for index in range(most)]


def _messages(rows: Iterable[tuple[dict[str, str], object, int, str]]) -> list[Message]:
    return [
        Message(headers=headers, document=document, size=size, origin=origin)
        for headers, document, size, origin in rows
    ]


def _with_headers(messages: Sequence[Message], names: frozenset[str]) -> Iterator[Message]:
    for each in messages:
        headers = {name: str(value) for name, value in each.headers.items() if name in names}
        yield Message(headers=headers, document=each.document, size=each.size, origin=each.origin)


def _team_names(messages: Iterable[Message], dialects: Sequence[Dialect]) -> frozenset[str]:
    """The headers that are the team's: neither ours nor any that a broker made."""
    first = {name: str(value) for each in messages for name, value in each.headers.items()}
    return frozenset(
        name
        for name, value in first.items()
        if name not in _SAYS_NOTHING
        and not name.startswith(envelope.PREFIX)
        and all(dialect.resend_headers({name: value}) for dialect in dialects)
    )


def _dialects(group: FailureGroup) -> tuple[Dialect, ...]:
    """That of the group's broker; every one while it is not known."""
    broker = group.consumer.broker if group.consumer is not None else None
    if broker is None or not broker.is_known:
        return tuple(dialect_for(kind, "") for kind in _KINDS)
    return (broker.dialect(),)

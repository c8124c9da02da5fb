"""The consumers that ``pubsub`` lines describe: which are new, which are there already, which can't be made.

Reads rows and settings, writes nothing.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from django.core.exceptions import ValidationError

from stompconsole.conf import StompSettings, stomp_with
from stompconsole.errors import ConfigurationError
from stompconsole.importing import remarks
from stompconsole.importing.naming import name_for
from stompconsole.importing.reading import Found, Place
from stompconsole.importing.resolving import Lacking, Workers
from stompconsole.models import Broker, Consumer, default_consumer

NOT_RESUMED = "imported, not resumed yet"


class Fate(enum.Enum):
    """What becomes of a consumer that was found."""

    NEW = "new"
    THERE = "there already"
    LEFT_OUT = "left out"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What whoever imports asks of every consumer."""

    broker: Broker
    paused: bool = False
    capture: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A consumer to be: its row, not saved unless it is there already. ``why`` it is left out, if it is."""

    consumer: Consumer
    places: tuple[Place, ...]
    fate: Fate
    why: str = ""
    remarks: tuple[str, ...] = ()
    lacking: Lacking | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Draft:
    """The lines of one destination and handler, with their row and the settings they were started with."""

    lines: tuple[Found, ...]
    consumer: Consumer
    stomp: StompSettings
    wrong: str = ""

    @property
    def places(self) -> tuple[Place, ...]:
        return tuple(line.place for line in self.lines)


def plan(found: Iterable[Found], wishes: Wishes) -> list[Candidate]:
    """A candidate for each destination and handler, in the order they were found; the same line twice is one."""
    workers = Workers()
    drafts = list(_drafts(found, wishes))
    rows = list(_rows_of(wishes.broker))
    neighbours = [*rows, *(draft.consumer for draft in drafts if draft.consumer.pk is None)]
    return [_judged(draft, wishes, workers, neighbours) for draft in drafts]


def _rows_of(broker: Broker) -> Iterable[Consumer]:
    return Consumer.objects.filter(broker=broker).select_related("broker").order_by("pk") if broker.pk else ()


def _drafts(found: Iterable[Found], wishes: Wishes) -> Iterator[_Draft]:
    there = {(row.destination, row.handler): row for row in reversed(list(_rows_of(wishes.broker)))}
    taken = set(Consumer.objects.values_list("name", flat=True))
    groups: dict[tuple[str, str], list[Found]] = {}
    for each in found:
        groups.setdefault((each.destination, each.handler), []).append(each)
    for key, lines in groups.items():
        stomp, wrong = _settings_of(lines[0])
        row = there.get(key) or _row(lines[0], stomp, wishes, taken)
        taken.add(row.name)
        yield _Draft(lines=tuple(lines), consumer=row, stomp=stomp, wrong=wrong)


def _settings_of(line: Found) -> tuple[StompSettings, str]:
    """The settings a line is started with, and what is wrong with them."""
    try:
        return stomp_with({name: value for name, value in line.environment.items() if value is not None}), ""
    except ConfigurationError as error:
        return stomp_with({}), str(error)


def _row(line: Found, stomp: StompSettings, wishes: Wishes, taken: set[str]) -> Consumer:
    row = default_consumer.from_settings(
        stomp,
        name=name_for(line.destination, line.handler, taken),
        broker=wishes.broker,
        destination=line.destination,
        handler=line.handler,
    )
    row.capture = wishes.capture
    if wishes.paused:
        row.mark_paused(None, NOT_RESUMED)
    return row


def _judged(draft: _Draft, wishes: Wishes, workers: Workers, neighbours: Sequence[Consumer]) -> Candidate:
    row = draft.consumer
    if row.pk is not None:
        return Candidate(consumer=row, places=draft.places, fate=Fate.THERE)
    wanted = sum(line.instances for line in draft.lines)
    row.instances = remarks.possible_instances(row, wanted)
    row.capture = row.capture and remarks.taker(row, neighbours) is None
    lacking = workers.lack(row.handler)
    # A paused consumer can wait for its handler; one that runs would only be broken.
    blocking = lacking.why if lacking is not None and not wishes.paused else ""
    why = draft.wrong or blocking or _refused(row, neighbours)
    return Candidate(
        consumer=row,
        places=draft.places,
        fate=Fate.LEFT_OUT if why else Fate.NEW,
        why=why,
        remarks=(
            *([lacking.why] if lacking is not None and not blocking else []),
            *remarks.about_number(row, wanted),
            *remarks.about_lines(draft.lines, wishes.broker, draft.stomp),
            *remarks.about_neighbours(row, neighbours),
        ),
        lacking=lacking,
    )


def _refused(row: Consumer, neighbours: Sequence[Consumer]) -> str:
    """Why the row can't be saved as it stands; empty if it can."""
    try:
        # The broker may be one that is made from the settings only when the rows are created.
        row.full_clean(exclude=["broker"] if row.broker.pk is None else None)
    except ValidationError as error:
        return " ".join(f"{name}: {' '.join(said)}" for name, said in error.message_dict.items())
    if row.wanted.is_durable and row.broker.pk and row.broker.dialect().one_connection_per_subscriber:
        for other in neighbours[: neighbours.index(row)]:
            if other.wanted.is_durable and other.wanted.subscriber == row.wanted.subscriber:
                return f"{other.name} is {row.wanted.subscriber} already: give each a STOMP_LISTENER_CLIENT_ID."
    return ""

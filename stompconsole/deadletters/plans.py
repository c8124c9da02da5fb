"""How a replay is to go: where to, how fast, how many at first, when to stop, when to start. Pure values.

Owns the reading of what an operator typed. Refuses nothing silently: what makes no sense is told by field.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from django.core.exceptions import ValidationError
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from stompconsole.deadletters import operations
from stompconsole.deadletters.operations import Operation
from stompconsole.models.names import validate_destination

MAX_RATE = 100_000.0
MAX_STEPS = 10
MAX_STEP = 1_000_000
CANARY = (1, 5, 25)
"""The canary that is offered: then the rest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """``rate`` in messages a second, None for no limit; ``canary`` sizes of the first steps, each waits for the
    outcomes of all before the next; ``stop_above_percent`` of known outcomes that failed again, None for no rule;
    ``destination`` empty for where each came from, ``unknown_to`` where those go whose origin is not known, empty for
    nowhere; ``start_at`` aware, None for now; ``edits`` are made to each message when it is sent."""

    destination: str = ""
    unknown_to: str = ""
    rate: float | None = None
    canary: tuple[int, ...] = ()
    stop_above_percent: float | None = None
    stop_on_same: bool = False
    start_at: datetime | None = None
    edits: tuple[Operation, ...] = ()

    def describe(self) -> str:
        """In words, for the record; empty when nothing is out of the ordinary. Of edits without their values."""
        parts = [
            f"to {self.destination}" if self.destination else "",
            f"what has no known origin to {self.unknown_to}" if self.unknown_to else "",
            f"at most {self.rate:g} a second" if self.rate is not None else "",
            f"first {', then '.join(map(str, self.canary))}" if self.canary else "",
            f"stopping above {self.stop_above_percent:g} % failed again" if self.stop_above_percent is not None else "",
            "stopping when one fails as before" if self.stop_on_same else "",
            f"from {self.start_at:%Y-%m-%d %H:%M} on" if self.start_at else "",
            *(edit.name for edit in self.edits),
        ]
        return ", ".join(filter(None, parts))


PLAIN = Plan()
"""Everything at once, now, to where it came from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadPlan:
    """A plan as it was typed. ``problems`` by field; with any of them the plan is not to be used."""

    plan: Plan
    problems: Mapping[str, str]


def read(query: Mapping[str, str], now: datetime | None = None) -> ReadPlan:
    """From ``request.POST`` or a dict: ``destination``, ``unknown_to``, ``rate``, ``canary`` (``1, 5, 25``),
    ``stop_above``, ``stop_on_same`` (any text), ``start_at`` (ISO 8601; without a zone the current one), ``edits``
    (JSON, see ``operations``). Empty means none."""
    problems: dict[str, str] = {}

    def field(name: str) -> str:
        return query.get(name, "").strip()

    plan = Plan(
        destination=_destination("destination", field("destination"), problems),
        unknown_to=_destination("unknown_to", field("unknown_to"), problems),
        rate=rate(field("rate"), problems),
        canary=_canary(field("canary"), problems),
        stop_above_percent=_percent(field("stop_above"), problems),
        stop_on_same=bool(field("stop_on_same")),
        start_at=_start(field("start_at"), problems, now or timezone.now()),
        edits=_edits(field("edits"), problems),
    )
    return ReadPlan(plan=plan, problems=problems)


def rate(text: str, problems: dict[str, str]) -> float | None:
    """A rate as it was typed, None for none; what is wrong with it goes into ``problems["rate"]``."""
    number = _number(text)
    if text and (number is None or not 0 < number <= MAX_RATE):
        problems["rate"] = (
            f"{text!r} is no rate: give messages a second, above 0 and up to {MAX_RATE:,.0f}, or nothing."
        )
        return None
    return number


def _destination(name: str, text: str, problems: dict[str, str]) -> str:
    if text:
        try:
            validate_destination(text)
        except ValidationError as error:
            problems[name] = f"{text!r}: {' '.join(error.messages)}"
    return text


def _canary(text: str, problems: dict[str, str]) -> tuple[int, ...]:
    words = text.replace(",", " ").split()
    steps = tuple(int(word) for word in words if word.isascii() and word.isdigit() and len(word) < 8)
    if len(steps) != len(words) or len(steps) > MAX_STEPS or not all(0 < step <= MAX_STEP for step in steps):
        problems["canary"] = f"{text!r} is no canary: give up to {MAX_STEPS} numbers above 0, such as 1, 5, 25."
        return ()
    return steps


def _percent(text: str, problems: dict[str, str]) -> float | None:
    number = _number(text.removesuffix("%"))
    if text and (number is None or not 0 <= number < 100):
        problems["stop_above"] = f"{text!r} is no share: give a percentage from 0 to below 100, or nothing."
        return None
    return number


def _start(text: str, problems: dict[str, str], now: datetime) -> datetime | None:
    if not text:
        return None
    try:
        found = parse_datetime(text)
    except ValueError:
        found = None
    if found is None:
        problems["start_at"] = f"{text!r} is no time: write it as {now:%Y-%m-%dT%H:%M}."
        return None
    return found if timezone.is_aware(found) else timezone.make_aware(found)


def _edits(text: str, problems: dict[str, str]) -> tuple[Operation, ...]:
    found = operations.read_json(text)
    if found.problems:
        problems["edits"] = " ".join(found.problems)
    return found.operations


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None

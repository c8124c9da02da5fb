"""What reading a file yields: the commands found, and what could not be understood; each with where it stands."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

MOST_INSTANCES = 1_000


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Place:
    """A line of a file; 0 is the file as a whole."""

    file: str
    line: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" if self.line else self.file


Environment = Mapping[str, str | None]
"""Variables that a command is started with; None is a value that can't be known from the file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """One ``pubsub DESTINATION HANDLER`` and how often it runs. ``remarks`` are sentences for people."""

    destination: str
    handler: str
    place: Place
    instances: int = 1
    environment: Environment = field(default_factory=dict)
    remarks: tuple[str, ...] = ()

    def times(self, count: int) -> Found:
        """The same, run so many times as often."""
        return replace(self, instances=self.instances * count)


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """What looks like ``pubsub`` or like a file of ours, and can't be understood; ``why`` is a sentence."""

    place: Place
    why: str

    def __str__(self) -> str:
        return f"{self.place}: {self.why}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """All of a file, or of several."""

    found: tuple[Found, ...] = ()
    problems: tuple[Problem, ...] = ()


NOTHING = Reading()


def joined(readings: Iterable[Reading]) -> Reading:
    """Several readings as one, in their order."""
    every = tuple(readings)
    return Reading(
        found=tuple(found for reading in every for found in reading.found),
        problems=tuple(problem for reading in every for problem in reading.problems),
    )


def trouble(file: str, line: int, why: str) -> Reading:
    """A reading of one problem."""
    return Reading(problems=(Problem(place=Place(file=file, line=line), why=why),))


@dataclass(frozen=True, slots=True, kw_only=True)
class Around:
    """What a file says around a command: where it stands and what it is started with.

    ``known`` are variables whose values the command line may use. ``unknowable`` matches what the file's own
    language would put something else for.
    """

    file: str
    environment: Environment = field(default_factory=dict)
    known: Mapping[str, str] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()
    unknowable: re.Pattern[str] = re.compile(r"[{}]|%\(")

    def at(self, line: int) -> Place:
        return Place(file=self.file, line=line)

    def with_environment(self, environment: Environment) -> Around:
        return replace(self, environment={**self.environment, **environment})


def instances_of(given: str) -> int | str:
    """How many instances a file asks for, or why that can't be taken."""
    if not given.isascii() or not given.isdigit():
        return f"how many run can't be known from {given!r}: write the number out."
    if len(given) > 6 or not 1 <= int(given) <= MOST_INSTANCES:
        return f"{given[:20]} instances: allowed are 1 to {MOST_INSTANCES:,}. What is scaled to 0 does not run."
    return int(given)

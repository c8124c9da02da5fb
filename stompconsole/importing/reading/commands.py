"""``pubsub DESTINATION HANDLER`` in the words of one command, however it is started.

Refuses what only looks like it: Google's ``gcloud pubsub``, a service called pubsub, a line that prints one.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from stompconsole.importing.reading.found import Around, Environment, Found, Reading, trouble
from stompconsole.importing.reading.words import Word

COMMAND = "pubsub"
ENTRIES = frozenset({"manage.py", "django-admin", "django-admin.py"})
OPTIONS_WITH_VALUE = frozenset({"--settings", "--pythonpath", "--verbosity", "-v"})
"""Options of every Django command that take the next word for their value."""

TALKERS = frozenset({"echo", "printf", "logger", "grep", "pgrep", "pkill"})
"""Commands whose arguments are texts and patterns, not commands."""

HANDLER = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)+")


@dataclass(frozen=True, slots=True)
class _Call:
    """``pubsub`` with its arguments. ``certain`` when it is a command of Django and not of something else."""

    command: Word
    arguments: tuple[Word, ...]
    certain: bool


def pubsub_in(words: Sequence[Word], around: Around) -> Reading | None:
    """What the command says, with the variables set in front of it; None if it is no ``pubsub``."""
    environment, rest = _leading_variables(words)
    if rest and PurePosixPath(rest[0].text).name in TALKERS:
        return None
    call = _call(rest)
    if call is None:
        return None
    why = _wrong(call.arguments, around)
    if not why:
        destination, handler = call.arguments
        return Reading(found=(_found(destination.text, handler.text, call, around.with_environment(environment)),))
    if call.certain or _looks_like_it(call.arguments):
        return trouble(around.file, call.command.line, why)
    return None


def _found(destination: str, handler: str, call: _Call, around: Around) -> Found:
    return Found(
        destination=destination,
        handler=handler,
        place=around.at(call.command.line),
        environment=around.environment,
        remarks=around.remarks,
    )


def _leading_variables(words: Sequence[Word]) -> tuple[Environment, Sequence[Word]]:
    """The assignments before ``pubsub``, wherever they stand: after ``env``, ``exec`` or ``docker run -e`` too."""
    environment: dict[str, str | None] = {}
    rest: list[Word] = []
    for at, word in enumerate(words):
        pair = word.assignment()
        if word.is_literally(COMMAND):
            return environment, [*rest, *words[at:]]
        if pair is None:
            rest.append(word)
        else:
            environment[pair[0]] = pair[1]
    return environment, rest


def _call(words: Sequence[Word]) -> _Call | None:
    entry = next((at for at in range(len(words)) if _is_entry(words, at)), None)
    if entry is None:
        at = next((at for at, word in enumerate(words) if word.is_literally(COMMAND)), None)
    else:
        at = _first_argument(words, entry + 1)
    if at is None or not words[at].is_literally(COMMAND):
        return None
    return _Call(words[at], _arguments(words[at + 1 :]), certain=entry is not None)


def _is_entry(words: Sequence[Word], at: int) -> bool:
    if PurePosixPath(words[at].text).name in ENTRIES:
        return True
    return at > 0 and words[at].is_literally("django") and words[at - 1].is_literally("-m")


def _first_argument(words: Sequence[Word], at: int) -> int | None:
    while at < len(words):
        text = words[at].text
        if not text.startswith("-"):
            return at
        at += 2 if text in OPTIONS_WITH_VALUE else 1
    return None


def _arguments(words: Sequence[Word]) -> tuple[Word, ...]:
    found: list[Word] = []
    at = _first_argument(words, 0)
    while at is not None:
        found.append(words[at])
        at = _first_argument(words, at + 1)
    # The end of a group in braces is a word of its own.
    return tuple(found[:-1] if found and found[-1].is_literally("}") else found)


def _wrong(arguments: Sequence[Word], around: Around) -> str:
    """Why the arguments can't be taken, a sentence; empty if they can."""
    for word in arguments:
        if word.unknown:
            return f"{word.unknown} can't be known here: write out what it stands for."
        if found := around.unknowable.search(word.text):
            return f"{word.text!r} has a {found[0]} in it: what it stands for can't be known here. Write it out."
    if len(arguments) != 2:
        given = ", ".join(repr(word.text) for word in arguments) or "nothing"
        return f"pubsub takes a DESTINATION and a HANDLER, and is given {given}."
    destination, handler = arguments
    if not destination.text:
        return "the destination is empty; it is a name such as /queue/orders."
    if not HANDLER.fullmatch(handler.text):
        return f"{handler.text!r} is no handler; it is a dotted path such as orders.handlers.price_of."
    return ""


def _looks_like_it(arguments: Sequence[Word]) -> bool:
    return any(word.text.startswith("/") or HANDLER.fullmatch(word.text) for word in arguments)

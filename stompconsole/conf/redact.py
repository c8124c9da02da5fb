"""Rules of redaction as people write them: a header's name, or the path of a part of a JSON body.

``x-token`` or ``header:x-token`` is a header, in any case; ``$.card.number`` or ``json:card.number`` a path, as the
search box writes it, with ``[*]`` for every member and ``..name`` for a name at any depth. Owns the grammar. Refuses
what could mean either, and headers that the console itself needs.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

HEADER = "header:"
JSON = "json:"
MOST_STEPS = 20
MOST_RULES = 200

_STEP = re.compile(
    r'(?P<lead>\.\.|\.)?(?:\[(?:"(?P<quoted>[^"]+)"|(?P<index>\*|\d+))\]|(?P<name>(?<=\.)[^.\[\]"\s][^.\[\]"]*))'
)
_NEEDED = frozenset({"destination", "message-id", "subscription", "ack", "content-length"})
_OURS = "stompconsole-"


class WrongRuleError(ValueError):
    """Says what is wrong with a rule, and how it could be written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step of a path: a member's name, or a list's index. ``name`` None is every member, ``deep`` at any depth."""

    name: str | None
    deep: bool = False

    def takes(self, key: str) -> bool:
        """Whether the step leads to the member."""
        return self.name is None or self.name == key


Path = tuple[Step, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What is to be hidden: headers by their names in lower case, parts of bodies by their paths."""

    headers: frozenset[str] = frozenset()
    paths: tuple[Path, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.headers or self.paths)


def rules_of(texts: Iterable[str]) -> Rules:
    """The rules, one a text; empty texts are none. Raises WrongRuleError."""
    return _rules(tuple(dict.fromkeys(stripped for text in texts if (stripped := text.strip()))))


@cache
def _rules(texts: tuple[str, ...]) -> Rules:
    if len(texts) > MOST_RULES:
        raise WrongRuleError(f"{len(texts)} rules are too many: {MOST_RULES} at most.")
    headers, paths = set[str](), list[Path]()
    for text in texts:
        if text.startswith(("$", JSON)):
            paths.append(_path(text))
        else:
            headers.add(_header(text))
    return Rules(headers=frozenset(headers), paths=tuple(paths))


def _header(text: str) -> str:
    name = text.removeprefix(HEADER).strip().lower()
    if name == text.lower() and ("." in name or "[" in name):
        raise WrongRuleError(f"{text!r} could be a header or a path: write {HEADER}{text} or $.{text}.")
    if not name or ":" in name or not name.isprintable():
        raise WrongRuleError(
            f"{text!r} names no header: write x-token, {HEADER}x-token, or a path such as $.card.number."
        )
    if name in _NEEDED or name.startswith(_OURS):
        raise WrongRuleError(f"{text!r} can't be redacted: the console needs it to send the message again.")
    return name


def _path(text: str) -> Path:
    rest = text.removeprefix(JSON).strip()
    rest = rest.removeprefix("$") if rest.startswith("$") else f".{rest}"
    steps: list[Step] = []
    at = 0
    while at < len(rest):
        found = _STEP.match(rest, at)
        if found is None:
            raise WrongRuleError(f"{text!r} can't be read from {rest[at:]!r} on: {_HOW}")
        name = found["quoted"] or found["index"] or found["name"].rstrip()
        every = name == "*" and found["quoted"] is None
        steps.append(Step(name=None if every else name, deep=found["lead"] == ".."))
        at = found.end()
    if not steps or len(steps) > MOST_STEPS:
        raise WrongRuleError(f"{text!r} names no part of a body: {_HOW}")
    return tuple(steps)


_HOW = f'write $.card.number, $.items[*].secret, $..password or $["a.b"], at most {MOST_STEPS} steps.'

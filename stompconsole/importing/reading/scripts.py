"""Shell lines and scripts: every ``pubsub`` in them, quoted commands such as ``sh -c "…"`` included.

Knows the variables that the script itself sets to one plain value; a name that is set to several is not known.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from stompconsole.importing.reading.commands import COMMAND, TALKERS, pubsub_in
from stompconsole.importing.reading.found import NOTHING, Around, Reading, joined, trouble
from stompconsole.importing.reading.shell import statements
from stompconsole.importing.reading.words import Statement, Word

DEEPEST = 5
"""A quoted command in a quoted command, and so on."""

EXPORTS = frozenset({"export", "declare", "typeset", "readonly"})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Variables:
    """What a script sets for good: values by name, and which of them its commands see."""

    values: Mapping[str, str | None]
    exported: frozenset[str]


def read_script(text: str, around: Around, *, line: int = 1, depth: int = 0) -> Reading:
    """Every ``pubsub`` of a script whose first line has that number."""
    return read_statements(statements(text, line), around, depth=depth)


def read_statements(found: Sequence[Statement], around: Around, *, depth: int = 0) -> Reading:
    """Every ``pubsub`` of commands that are split already."""
    variables = _variables(found)
    exported = {name: variables.values[name] for name in variables.exported & variables.values.keys()}
    within = around.with_environment(exported)
    plain = {name: value for name, value in variables.values.items() if value is not None}
    within = replace(within, known={**around.known, **plain})
    return joined(_of_statement(statement, within, depth) for statement in found if not _only_sets(statement))


def _of_statement(statement: Statement, around: Around, depth: int) -> Reading:
    words = [word.with_values(around.known) for word in statement.words]
    if statement.unclosed:
        whole = " ".join(word.text for word in words)
        return trouble(around.file, statement.line, "a quote is never closed.") if COMMAND in whole else NOTHING
    direct = pubsub_in(words, around)
    if direct is not None:
        return direct
    if words[0].text in TALKERS or depth == DEEPEST:
        return NOTHING
    inner = around.with_environment(dict(_assignments(words)))
    return joined(read_script(word.text, inner, line=word.line, depth=depth + 1) for word in words if _holds(word))


def _holds(word: Word) -> bool:
    """Whether a word is a command in quotes that may be one of ours."""
    return COMMAND in word.text and any(character.isspace() for character in word.text)


def _variables(found: Iterable[Statement]) -> _Variables:
    values: dict[str, str | None] = {}
    exported: set[str] = set()
    for statement in found:
        if not _only_sets(statement):
            continue
        for name, value in _assignments(statement.words):
            # Set twice, as in the two branches of an if: which one holds can't be known.
            values[name] = value if values.get(name, value) == value else None
        if statement.words[0].text in EXPORTS:
            exported |= {word.text.partition("=")[0] for word in statement.words[1:]}
    return _Variables(values=values, exported=frozenset(exported))


def _only_sets(statement: Statement) -> bool:
    first, *others = statement.words
    if first.text in EXPORTS:
        return True
    return all(word.assignment() is not None for word in (first, *others))


def _assignments(words: Iterable[Word]) -> Iterator[tuple[str, str | None]]:
    return (pair for word in words if (pair := word.assignment()) is not None)

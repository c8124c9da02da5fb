"""Taking values out of texts that may quote them: error messages and tracebacks of messages with redacted parts.

Owns in which spellings a value is looked for. Only literal ones are found: what a handler has changed, cut or encoded
before it put it into an error is not known here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator

MARKER = "[redacted]"

SHORTEST = 3
"""Characters of a value that is taken out; shorter ones are in every text."""

_ANYWHERE = 4
"""Characters from which on a value is taken out of the middle of words too."""

_LONG_WORD = 8
"""Characters of a word of a header, such as a bearer token, that is taken out by itself."""

_CUT = "…"
"""Stands where a text was trimmed on its way: there a value may have lost its end, or its start."""

_LONGEST_CUT = 4_000
_WORDS = (re.compile(r"\S+"), re.compile(r"[\w.@-]+"), re.compile(r"\w+"))


class Quotes:
    """Values that must not be quoted."""

    def __init__(self, values: Iterable[str]) -> None:
        self._spellings = {
            spelling for value in values for spelling in _spellings(value) if len(spelling.strip()) >= SHORTEST
        }

    def __bool__(self) -> bool:
        return bool(self._spellings)

    def taken_out_of(self, text: str) -> str:
        """The text with a marker in place of each."""
        if not self._spellings or not text:
            return text
        quoted = [each for each in self._spellings if each in text]
        if quoted:
            # The longest first: one may be a part of another, and of a marker.
            patterns = [re.escape(MARKER), *map(_pattern, sorted(quoted, key=len, reverse=True))]
            text = re.sub("|".join(patterns), MARKER, text)
        return self._without_cut_ones(text)

    def _without_cut_ones(self, text: str) -> str:
        if text.startswith(_CUT):
            length = max((_end_in(each, text) for each in self._spellings), default=0)
            text = f"{_CUT}{MARKER}{text[1 + length :]}" if length else text
        if text.endswith(_CUT):
            length = max((_start_in(each, text) for each in self._spellings), default=0)
            text = f"{text[: -1 - length]}{MARKER}{_CUT}" if length else text
        return text


def words_of(value: str) -> Iterator[str]:
    """A value, and the long words in it: of ``Bearer abc…`` an error quotes the second alone."""
    yield value
    yield from (word for word in value.split() if _LONG_WORD <= len(word) < len(value))


def told_apart_roughly(text: str) -> Iterator[str]:
    """What may be quoted of a body whose parts can't be told apart: itself, its lines, and what is no plain word."""
    yield text
    yield from (line.strip() for line in text.splitlines() if len(line.strip()) >= _LONG_WORD)
    words = (found[0] for pattern in _WORDS for found in pattern.finditer(text))
    for word in (each.strip("\"'{}[](),;") for each in words):
        if says_much(word):
            yield word


def says_much(word: str) -> bool:
    """Whether a word is long, or has a digit: others are in errors that quote nothing."""
    return len(word) >= _ANYWHERE and (len(word) > _LONG_WORD or any(letter.isdigit() for letter in word))


def _spellings(value: str) -> Iterator[str]:
    yield value
    yield repr(value)[1:-1]
    yield json.dumps(value)[1:-1]
    yield json.dumps(value, ensure_ascii=False)[1:-1]
    # As the headers of a dead letter carry it, and as a column holds it.
    yield value.replace("\0", "\\0").encode(errors="backslashreplace").decode()
    yield value.replace("\0", "\N{REPLACEMENT CHARACTER}").encode(errors="replace").decode()
    yield from _as_number(value)


def _as_number(value: str) -> Iterator[str]:
    """As Python writes it: 1.50 in a body is 1.5 in an error."""
    try:
        yield repr(float(value))
    except ValueError:
        return


def _pattern(literal: str) -> str:
    return re.escape(literal) if len(literal) >= _ANYWHERE else rf"(?<!\w){re.escape(literal)}(?!\w)"


def _end_in(value: str, text: str) -> int:
    """How many characters of a value's end stand where the text was cut."""
    lengths = range(min(len(value) - 1, _LONGEST_CUT), _ANYWHERE - 1, -1)
    return next((length for length in lengths if text.startswith(value[-length:], 1)), 0)


def _start_in(value: str, text: str) -> int:
    lengths = range(min(len(value) - 1, _LONGEST_CUT), _ANYWHERE - 1, -1)
    return next((length for length in lengths if text.endswith(value[:length], 0, -1)), 0)

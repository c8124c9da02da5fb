"""Words of a command line: literal text, and pieces whose value only the running shell would know."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

ASSIGNMENT = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)=")


@dataclass(frozen=True, slots=True)
class Piece:
    """Part of a word as it is written. ``variable`` names what stands for its value; empty for literal text."""

    text: str
    variable: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """One word, its quotes taken off, and the line it begins on."""

    pieces: tuple[Piece, ...]
    line: int

    @property
    def text(self) -> str:
        """The whole word; a piece that is not known as it is written, such as ``$QUEUE``."""
        return "".join(piece.text for piece in self.pieces)

    @property
    def unknown(self) -> str:
        """The first piece whose value is not known, as it is written; empty if all of it is."""
        return next((piece.text for piece in self.pieces if piece.variable), "")

    def is_literally(self, text: str) -> bool:
        return not self.unknown and self.text == text

    def with_values(self, values: Mapping[str, str]) -> Word:
        """The word with the values of those variables put in."""
        pieces = (Piece(values[piece.variable]) if piece.variable in values else piece for piece in self.pieces)
        return replace(self, pieces=tuple(pieces))

    def assignment(self) -> tuple[str, str | None] | None:
        """``NAME=value`` as a pair, the value None when it is not known; None for any other word."""
        found = ASSIGNMENT.match(self.pieces[0].text) if self.pieces and not self.pieces[0].variable else None
        if found is None:
            return None
        return found[1], None if self.unknown else self.text[found.end() :]


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """One simple command. ``unclosed`` when a quote in it is never closed: the rest of the file is in its last word."""

    words: tuple[Word, ...]
    unclosed: bool = False

    @property
    def line(self) -> int:
        return self.words[0].line

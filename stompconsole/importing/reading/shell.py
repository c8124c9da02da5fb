"""Shell text split into simple commands, as POSIX shells split it (Shell Command Language, 2.2 to 2.10).

Owns quotes, comments, line continuations, redirections and here-documents. Expands nothing: what a shell would
compute becomes a piece that is not known. Refuses no text; a quote that is not closed is marked.
"""

from __future__ import annotations

import re

from stompconsole.importing.reading.words import Piece, Statement, Word

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_PLAIN = re.compile(r"[^\s'\"\\$`;&|()<>#]+")
_REDIRECTION = re.compile(r"<<<|<<-?|[<>]&-?|>>|>\||<>|[<>]")
_IN_QUOTES = re.compile(r"[^\"\\$`]+")
_SEPARATORS = ";&|()"
_SPECIAL = "@*#?-$!0123456789"


def statements(text: str, line: int = 1) -> tuple[Statement, ...]:
    """The simple commands of a script in their order; ``line`` is the number of its first line."""
    return _Splitter(text.replace("\r\n", "\n").replace("\r", "\n"), line).split()


def uncut(text: str, line: int) -> Word:
    """One argument that no shell splits, with the variables in it."""
    return _Splitter(text, line).argument()


class _Splitter:
    """Goes through the text once. The word in hand is ``_pieces`` and then ``_literals``; ``_started`` tells an empty
    word from none."""

    def __init__(self, text: str, line: int) -> None:
        self._text, self._at, self._line = text, 0, line
        self._pieces: list[Piece] = []
        self._literals: list[str] = []
        self._started = False
        self._word_line = line
        self._words: list[Word] = []
        self._found: list[Statement] = []
        self._target_follows = ""
        self._documents: list[tuple[str, bool]] = []
        self._unclosed = False

    def split(self) -> tuple[Statement, ...]:
        while self._at < len(self._text):
            self._step(self._text[self._at])
        self._end_statement()
        return tuple(self._found)

    def argument(self) -> Word:
        self._begin_word()
        while self._at < len(self._text):
            if self._text[self._at] == "$":
                self._dollar(quoted='"')
            else:
                end = self._text.find("$", self._at)
                self._literal(self._take(len(self._text) if end < 0 else end))
        return self._word()

    def _step(self, character: str) -> None:
        match character:
            case "\n":
                self._take(self._at + 1)
                self._end_statement()
                self._skip_documents()
            case "\\":
                self._backslash()
            case "'" | '"' | "$" | "`":
                self._quoted_or_unknown(character)
            case "<" | ">":
                self._redirection()
            case "#" if not self._started:
                self._take(self._end_of_line())
            case _ if character in _SEPARATORS:
                self._separator()
            case _ if character.isspace():
                self._take(self._at + 1)
                self._end_word()
            case _:
                found = _PLAIN.match(self._text, self._at)
                self._literal(self._take(found.end() if found else self._at + 1))

    def _quoted_or_unknown(self, character: str) -> None:
        match character:
            case "'":
                self._single_quoted()
            case '"':
                self._double_quoted()
            case "$":
                self._dollar()
            case _:
                self._unknown_until("`", 1)

    def _take(self, end: int) -> str:
        taken = self._text[self._at : end]
        self._at += len(taken)
        self._line += taken.count("\n")
        return taken

    def _begin_word(self) -> None:
        if not self._started:
            self._started, self._word_line = True, self._line

    def _literal(self, text: str) -> None:
        self._begin_word()
        self._literals.append(text)

    def _unknown(self, text: str, variable: str) -> None:
        self._begin_word()
        self._join_literals()
        self._pieces.append(Piece(text, variable or text))

    def _join_literals(self) -> None:
        text = "".join(self._literals)
        self._pieces += [Piece(text)] if text else []
        self._literals = []

    def _word(self) -> Word:
        self._join_literals()
        word = Word(pieces=tuple(self._pieces), line=self._word_line)
        self._pieces, self._started = [], False
        return word

    def _end_word(self) -> None:
        if not self._started:
            return
        word = self._word()
        if self._target_follows:
            self._end_redirection(word)
        else:
            self._words.append(word)

    def _end_redirection(self, target: Word) -> None:
        if self._target_follows in {"<<", "<<-"}:
            self._documents.append((target.text, self._target_follows == "<<-"))
        self._target_follows = ""

    def _end_statement(self) -> None:
        self._end_word()
        self._target_follows = ""
        if self._words:
            self._found.append(Statement(words=tuple(self._words), unclosed=self._unclosed))
        self._words = []

    def _backslash(self) -> None:
        if self._text.startswith("\\\n", self._at):
            self._take(self._at + 2)
            return
        self._begin_word()
        self._literal(self._take(self._at + 2)[1:])

    def _single_quoted(self) -> None:
        self._begin_word()
        self._take(self._at + 1)
        self._literal(self._take(self._close_of("'")))
        self._take(self._at + 1)

    def _double_quoted(self) -> None:
        self._begin_word()
        self._take(self._at + 1)
        while self._at < len(self._text) and self._text[self._at] != '"':
            self._inside_double_quotes(self._text[self._at])
        self._unclosed |= self._at >= len(self._text)
        self._take(self._at + 1)

    def _inside_double_quotes(self, character: str) -> None:
        match character:
            case "$":
                self._dollar(quoted='"')
            case "`":
                self._unknown_until("`", 1)
            case "\\":
                pair = self._take(self._at + 2)
                self._literal("" if pair == "\\\n" else pair[1:] if pair[1:] in {"$", "`", '"', "\\"} else pair)
            case _:
                found = _IN_QUOTES.match(self._text, self._at)
                self._literal(self._take(found.end() if found else self._at + 1))

    def _dollar(self, quoted: str = "") -> None:
        follows = self._text[self._at + 1 : self._at + 2]
        name = _NAME.match(self._text, self._at + 1)
        if name is not None:
            self._unknown(self._take(name.end()), name[0])
        elif follows == "{":
            self._unknown_until("}", 2)
        elif follows == "(":
            self._unknown_until(")", 2)
        elif follows and follows in _SPECIAL:
            self._unknown(self._take(self._at + 2), "")
        elif follows == "'" and not quoted:
            # $'…' knows escapes of its own; with one in it the value is not known here.
            start = self._at
            self._take(self._at + 2)
            body = self._take(self._close_of("'"))
            self._take(self._at + 1)
            self._unknown(self._text[start : self._at], "") if "\\" in body else self._literal(body)
        else:
            self._literal(self._take(self._at + 1))

    def _unknown_until(self, closing: str, opening_length: int) -> None:
        depth, end = 1, self._at + opening_length
        opening = self._text[end - 1]
        while end < len(self._text) and depth:
            character = self._text[end]
            if character == closing:
                depth -= 1
            elif character == opening:
                depth += 1
            end += 2 if character == "\\" else 1
        self._unclosed |= depth > 0
        text = self._take(end)
        inside = text[opening_length:-1]
        self._unknown(text, inside if closing == "}" and _NAME.fullmatch(inside) else "")

    def _close_of(self, quote: str) -> int:
        end = self._text.find(quote, self._at)
        self._unclosed |= end < 0
        return len(self._text) if end < 0 else end

    def _separator(self) -> None:
        if self._text.startswith("&>", self._at):
            self._take(self._at + 1)
            return
        self._take(self._at + 1)
        self._end_statement()

    def _redirection(self) -> None:
        if not self._pieces and "".join(self._literals).isdigit():
            self._literals, self._started = [], False  # the number of a file, as in 2>&1
        self._end_word()
        found = _REDIRECTION.match(self._text, self._at)
        assert found is not None
        self._target_follows = self._take(found.end())
        if self._target_follows.endswith("-") and "&" in self._target_follows:
            self._target_follows = ""  # >&- closes a file, no target follows

    def _end_of_line(self) -> int:
        end = self._text.find("\n", self._at)
        return len(self._text) if end < 0 else end

    def _skip_documents(self) -> None:
        for delimiter, tabs in self._documents:
            while self._at < len(self._text):
                line = self._take(self._end_of_line())
                self._take(self._at + 1)
                if (line.lstrip("\t") if tabs else line) == delimiter:
                    break
        self._documents = []

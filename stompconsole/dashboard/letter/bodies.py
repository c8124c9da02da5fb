"""A body as text: JSON set out line by line, plain text, or hex. Never more of it than fits on a page.

JSON is only set out, not parsed and written again: doubled keys, the spelling of numbers and escapes stay as sent.
Returns text and tokens; escaping is the template's.
"""

from __future__ import annotations

import enum
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from email.message import Message

from stompconsole.dashboard import formats

HEX_BYTES = 16 * 1024
"""Of a binary body so much is shown: a thousand lines."""

MAX_INDENT = 16
"""Levels that are indented: of a body of many, deeper and deeper, blanks would be nearly all of it."""

_TOKENS = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s{}\[\],:"]+')
_CONTROLS = {code: 0x2400 + code for code in range(32) if chr(code) not in "\t\n\r"} | {0x7F: 0x2421}


class BodyView(enum.StrEnum):
    """How a body is shown. The value is what stands in the URL."""

    JSON = "json"
    TEXT = "text"
    HEX = "hex"

    @property
    def label(self) -> str:
        """As on a switch."""
        return {BodyView.JSON: "JSON", BodyView.TEXT: "Raw", BodyView.HEX: "Hex"}[self]


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """A stretch of text and what it is: "key", "literal" (a number, true, null) or "" for the rest."""

    text: str
    kind: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownBody:
    """A body in one view, which others are offered, and a note when it is not all of it or not what it claims."""

    view: BodyView
    offered: tuple[BodyView, ...]
    tokens: tuple[Token, ...]
    note: str = ""


def show(body: bytes, content_type: str, wanted: str, limit: int) -> ShownBody:
    """The body in the wanted view if it can be had, else in the first that can. ``limit`` in bytes."""
    text = _text(body, content_type)
    laid_out = None if text is None or len(body) > limit else _laid_out(text)
    offered = tuple(
        view
        for view, possible in ((BodyView.JSON, laid_out), (BodyView.TEXT, text), (BodyView.HEX, body))
        if possible is not None
    )
    view = next((view for view in offered if view.value == wanted), offered[0])
    match view:
        case BodyView.JSON:
            return ShownBody(view=view, offered=offered, tokens=tuple(laid_out or ()))
        case BodyView.TEXT:
            return ShownBody(
                view=view, offered=offered, tokens=_as_text(body, content_type, limit), note=_cut(body, limit)
            )
        case BodyView.HEX:
            return ShownBody(view=view, offered=offered, tokens=_as_hex(body), note=_cut(body, HEX_BYTES))


def _cut(body: bytes, limit: int) -> str:
    if len(body) <= limit:
        return ""
    return f"The first {formats.size(limit)} of {formats.size(len(body))}; download it to see the rest."


def _text(body: bytes, content_type: str) -> str | None:
    """The body decoded by its charset, None when it is not text."""
    try:
        text = body.decode(_charset(content_type))
    except (UnicodeDecodeError, LookupError):
        return None
    return None if "\0" in text else text


def _charset(content_type: str) -> str:
    message = Message()
    message["content-type"] = content_type.replace("\n", " ").replace("\r", " ")
    return str(message.get_content_charset("utf-8"))


def _as_text(body: bytes, content_type: str, limit: int) -> tuple[Token, ...]:
    # Cut in bytes, then decoded: a character cut in two is dropped.
    text = body[:limit].decode(_charset(content_type), errors="ignore")
    return (Token(text=text.translate(_CONTROLS)),)


def _as_hex(body: bytes) -> tuple[Token, ...]:
    shown = body[:HEX_BYTES]
    return (Token(text="\n".join(_hex_line(shown, start) for start in range(0, len(shown), 16))),)


def _hex_line(body: bytes, start: int) -> str:
    row = body[start : start + 16]
    readable = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in row)
    return f"{start:08x}  {row[:8].hex(' '):<23}  {row[8:].hex(' '):<23}  {readable}"


def _laid_out(text: str) -> list[Token] | None:
    """JSON with its lines broken and indented, None when it is not JSON."""
    try:
        # Numbers are left alone: a long one is slow or refused to parse, and is not looked at here.
        json.loads(text, parse_int=str, parse_float=str)
    except (ValueError, RecursionError):
        return None
    return list(_merged(_lines(text)))


def set_out(text: str) -> str | None:
    """JSON with its lines broken and indented as one text, None when it is not JSON."""
    tokens = _laid_out(text)
    return None if tokens is None else "".join(token.text for token in tokens)


def _lines(text: str) -> Iterator[Token]:
    depth = 0
    found = _TOKENS.findall(text)
    for index, token in enumerate(found):
        following = found[index + 1] if index + 1 < len(found) else ""
        match token:
            case "{" | "[" if following in ("}", "]"):
                yield Token(text=token)
            case "{" | "[":
                depth += 1
                yield Token(text=f"{token}\n{'  ' * min(depth, MAX_INDENT)}")
            case "}" | "]" if index and found[index - 1] in ("{", "["):
                yield Token(text=token)
            case "}" | "]":
                depth -= 1
                yield Token(text=f"\n{'  ' * min(depth, MAX_INDENT)}{token}")
            case ",":
                yield Token(text=f",\n{'  ' * min(depth, MAX_INDENT)}")
            case ":":
                yield Token(text=": ")
            case _ if token.startswith('"'):
                yield Token(text=token, kind="key" if following == ":" else "")
            case _:
                yield Token(text=token, kind="literal")


def _merged(tokens: Iterator[Token]) -> Iterator[Token]:
    """Neighbours of one kind as one token: a page with a tag for each comma is slow to show."""
    kind, parts = "", list[str]()
    for token in tokens:
        if token.kind != kind and parts:
            yield Token(text="".join(parts), kind=kind)
            parts = []
        kind = token.kind
        parts.append(token.text)
    if parts:
        yield Token(text="".join(parts), kind=kind)

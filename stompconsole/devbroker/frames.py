"""STOMP 1.1 and 1.2 frames as values, and their bytes.

Owns escaping, per version. Refuses to read from streams (``parser``) and to know what a command means.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from stompconsole.errors import StompConsoleError

UNESCAPED_COMMANDS = frozenset({"CONNECT", "STOMP", "CONNECTED"})
"""Frames whose headers go as they are, for the sake of STOMP 1.0 (STOMP 1.2, Value Encoding)."""


class MalformedFrame(StompConsoleError):
    """Raised when bytes are not a STOMP frame, or a frame is larger than allowed."""


class Version(enum.StrEnum):
    """The versions of STOMP that are spoken here, the newest first."""

    V12 = "1.2"
    V11 = "1.1"


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame. ``headers`` are unescaped, the first of repeated ones (STOMP 1.2, Repeated Header Entries)."""

    command: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


_ESCAPES = {
    Version.V12: str.maketrans({"\\": "\\\\", "\r": "\\r", "\n": "\\n", ":": "\\c"}),
    Version.V11: str.maketrans({"\\": "\\\\", "\n": "\\n", ":": "\\c"}),
}
_MEANINGS = {
    Version.V12: {"\\\\": "\\", "\\r": "\r", "\\n": "\n", "\\c": ":"},
    Version.V11: {"\\\\": "\\", "\\n": "\n", "\\c": ":"},
}
_ESCAPE_SEQUENCE = re.compile(r"\\.?", re.DOTALL)


def escape(text: str, version: Version) -> str:
    """A header name or value as it goes on the wire."""
    return text.translate(_ESCAPES[version])


def unescape(text: str, version: Version) -> str:
    """A header name or value as it was meant. Raises MalformedFrame for an escape the version doesn't know."""
    if "\\" not in text:
        return text
    meanings = _MEANINGS[version]

    def meaning(match: re.Match[str]) -> str:
        try:
            return meanings[match[0]]
        except KeyError:
            raise MalformedFrame(
                f"the header {text[:80]!r} holds {match[0]!r}, which is no escape sequence of STOMP {version}"
            ) from None

    return _ESCAPE_SEQUENCE.sub(meaning, text)


def encode_headers(headers: Mapping[str, str], version: Version) -> bytes:
    """Escaped header lines, each with its line end."""
    lines = [f"{escape(name, version)}:{escape(value, version)}\n" for name, value in headers.items()]
    return "".join(lines).encode("utf-8", "replace")


def encode(frame: Frame, version: Version) -> bytes:
    """The frame's bytes, the NUL at its end included."""
    if frame.command in UNESCAPED_COMMANDS:
        head = "".join(f"{name}:{value}\n" for name, value in frame.headers.items()).encode("utf-8", "replace")
    else:
        head = encode_headers(frame.headers, version)
    return b"%b\n%b\n%b\0" % (frame.command.encode(), head, frame.body)

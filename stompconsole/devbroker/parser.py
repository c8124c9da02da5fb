"""An incremental parser: bytes in, cut anywhere, frames out, one at a time.

Owns the buffer of what has arrived and the size limits. Refuses to know what a command means, except which ones
may have a body. The version may change between two frames of one read: set ``version`` before asking for the next.
"""

from __future__ import annotations

import re

from stompconsole.devbroker.frames import UNESCAPED_COMMANDS, Frame, MalformedFrame, Version, unescape
from stompconsole.devbroker.options import FrameLimits

BODY_COMMANDS = frozenset({"SEND", "MESSAGE", "ERROR"})
"""No other frame may have a body (STOMP 1.2, Body)."""

_HEAD_END = re.compile(rb"\n\r?\n")
_NOT_EOL = re.compile(rb"[^\r\n]")
_COMMAND = re.compile(r"[A-Z]+")


class FrameParser:
    """The frames of one connection."""

    def __init__(self, limits: FrameLimits, version: Version = Version.V12) -> None:
        self.version = version
        self._limits = limits
        self._buffer = bytearray()
        self._start = 0
        """Where the frame under way begins."""
        self._searched = 0
        """Up to where an end was looked for in vain, so that a frame that trickles in is not searched again."""
        self._head: Frame | None = None
        """The frame under way once its headers are complete; then ``_start`` is where its body begins."""

    def feed(self, data: bytes) -> None:
        """Add what was read; then call ``next_frame`` until it gives None."""
        if self._start:
            del self._buffer[: self._start]
            self._searched -= self._start
            self._start = 0
        self._buffer += data

    def next_frame(self) -> Frame | None:
        """The next complete frame, or None when more bytes are needed. Raises MalformedFrame; the rest is then void."""
        if self._head is None:
            self._head = self._take_head()
            if self._head is None:
                return None
        head = self._head
        body = self._take_body(head)
        if body is None:
            return None
        self._head = None
        if not body:
            return head
        if head.command not in BODY_COMMANDS:
            raise MalformedFrame(f"a {head.command[:40]} frame has a body, which only SEND, MESSAGE and ERROR may have")
        return Frame(head.command, head.headers, body)

    def _take_head(self) -> Frame | None:
        self._skip_heart_beats()
        match = _HEAD_END.search(self._buffer, self._searched)
        end = match.start() if match else len(self._buffer)
        if self._buffer.find(0, self._searched, end) >= 0:
            raise MalformedFrame("a NUL stands among the headers: an empty line ends them, the NUL ends the frame")
        if end - self._start > self._limits.head_bytes:
            raise MalformedFrame(f"the headers are longer than {self._limits.head_bytes} bytes, the most taken here")
        if match is None:
            # An end may lie across two reads, its first two bytes in this one.
            self._searched = max(self._start, len(self._buffer) - 2)
            return None
        frame = self._parse_head(bytes(self._buffer[self._start : end]))
        self._start = self._searched = match.end()
        return frame

    def _skip_heart_beats(self) -> None:
        match = _NOT_EOL.search(self._buffer, self._start)
        self._start = match.start() if match else len(self._buffer)
        self._searched = max(self._searched, self._start)

    def _parse_head(self, head: bytes) -> Frame:
        lines = head.decode("utf-8", "replace").split("\n")
        # STOMP 1.1 knows no CR LF, and its values may end in CR: such line ends count where the command has one.
        if self.version is Version.V12 or lines[0].endswith("\r"):
            lines = [line.removesuffix("\r") for line in lines]
        if len(lines) - 1 > self._limits.headers:
            raise MalformedFrame(f"the frame has more than {self._limits.headers} headers, the most taken here")
        command = lines[0]
        if not _COMMAND.fullmatch(command):
            raise MalformedFrame(f"{command[:40]!r} is no STOMP command")
        headers: dict[str, str] = {}
        for line in lines[1:]:
            name, value = self._parse_header(line, command)
            headers.setdefault(name, value)
        return Frame(command, headers)

    def _parse_header(self, line: str, command: str) -> tuple[str, str]:
        name, colon, value = line.partition(":")
        if not colon or not name:
            raise MalformedFrame(f"the header line {line[:80]!r} has no name and colon")
        if "\\" in line and command not in UNESCAPED_COMMANDS:
            return unescape(name, self.version), unescape(value, self.version)
        return name, value

    def _take_body(self, head: Frame) -> bytes | None:
        length = head.headers.get("content-length")
        end = self._nul_from_here() if length is None else self._start + self._body_length(length)
        if end is None or end >= len(self._buffer):
            return None
        if self._buffer[end]:
            raise MalformedFrame(f"no NUL follows the {length} bytes that content-length promises")
        body = bytes(self._buffer[self._start : end])
        self._start = self._searched = end + 1
        return body

    def _body_length(self, text: str) -> int:
        if not (text.isascii() and text.isdigit()):
            raise MalformedFrame(f"content-length is {text[:40]!r}: it must be a number of bytes")
        # Compared by its digits first: Python refuses to read numbers of thousands of digits.
        if len(text.lstrip("0")) > 18 or int(text) > self._limits.body_bytes:
            raise self._body_too_large()
        return int(text)

    def _nul_from_here(self) -> int | None:
        end = self._buffer.find(0, self._searched)
        size = (len(self._buffer) if end < 0 else end) - self._start
        if size > self._limits.body_bytes:
            raise self._body_too_large()
        if end < 0:
            self._searched = len(self._buffer)
            return None
        return end

    def _body_too_large(self) -> MalformedFrame:
        return MalformedFrame(f"the body is longer than {self._limits.body_bytes} bytes, the most taken here")

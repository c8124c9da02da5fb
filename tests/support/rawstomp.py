"""A STOMP client on a bare socket: says exactly what a test tells it to, to any broker, and keeps what was said.

Shares no code with what it tests: it has its own encoding and decoding. Every wait has a limit. Beyond its own
handshake it knows no rules, so that a test can break them.
"""

from __future__ import annotations

import socket
import struct
import time
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

TIMEOUT_S = 5.0
READ_BYTES = 65_536
_RESET = struct.pack("ii", 1, 0)

Headers = Mapping[str, str] | Iterable[tuple[str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class RawFrame:
    """A frame as it was read: header lines in order, unescaped as STOMP 1.2 has it, repeated ones kept."""

    command: str
    lines: tuple[tuple[str, str], ...] = ()
    body: bytes = b""

    @property
    def headers(self) -> dict[str, str]:
        """The first of repeated headers."""
        return dict(reversed(self.lines))

    def __getitem__(self, name: str) -> str:
        return self.headers[name]

    def __str__(self) -> str:
        return " | ".join([self.command, *(f"{name}:{value}" for name, value in self.lines)])


@dataclass(slots=True)
class RawClient:
    """One connection. ``transcript`` holds every frame, as ``> COMMAND | header:value`` and ``< COMMAND | …``."""

    host: str
    port: int
    timeout_s: float = TIMEOUT_S
    version: str = "1.2"
    """What was asked for at CONNECT."""
    transcript: list[str] = field(default_factory=list)
    beats: int = 0
    """Heart-beats read between frames."""
    _socket: socket.socket = field(init=False, repr=False)
    _buffer: bytearray = field(init=False, default_factory=bytearray, repr=False)
    _set_aside: deque[RawFrame] = field(init=False, default_factory=deque, repr=False)
    _receipts: int = 0

    def __post_init__(self) -> None:
        self._socket = socket.create_connection((self.host, self.port), self.timeout_s)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def connect(self, version: str = "1.2", headers: Headers = ()) -> RawFrame:
        """CONNECT; the broker's answer, whichever it is."""
        self.version = version
        self.send_frame("CONNECT", [("accept-version", version), ("host", "/"), *_pairs(headers)])
        return self.read_frame()

    def send_frame(self, command: str, headers: Headers = (), body: bytes = b"") -> None:
        """Write one frame, headers as they are given: escape them first where that is wanted."""
        pairs = _pairs(headers)
        self.transcript.append("> " + str(RawFrame(command=command, lines=tuple(pairs))))
        self.send_bytes(encode(command, pairs, body))

    def send_bytes(self, data: bytes) -> None:
        """Write any bytes."""
        self._socket.settimeout(self.timeout_s)
        self._socket.sendall(data)

    def request(self, command: str, headers: Headers = (), body: bytes = b"") -> RawFrame:
        """Write a frame with a receipt header; the answer to it. MESSAGEs in between are kept for ``read_frame``."""
        self._receipts += 1
        self.send_frame(command, [*_pairs(headers), ("receipt", f"r{self._receipts}")], body)
        while (frame := self._read_next(self.timeout_s)).command == "MESSAGE":
            self._set_aside.append(frame)
        return frame

    def done(self, command: str, headers: Headers = (), body: bytes = b"") -> None:
        """``request`` what must succeed. Raises AssertionError if the answer is not its RECEIPT."""
        answer = self.request(command, headers, body)
        if answer.command != "RECEIPT" or answer["receipt-id"] != f"r{self._receipts}":
            raise AssertionError(f"{command} was to succeed, but: {answer}")

    def refused(self, command: str, headers: Headers = (), body: bytes = b"") -> str:
        """``request`` what must be refused; the ERROR's text. Raises AssertionError if it is not."""
        answer = self.request(command, headers, body)
        if answer.command != "ERROR":
            raise AssertionError(f"{command} was to be refused, but: {answer}")
        return answer["message"]

    def settle(self, message: RawFrame, command: str = "ACK", headers: Headers = ()) -> None:
        """Write an ACK or NACK of a MESSAGE, as the version of this connection has it."""
        self.send_frame(command, [*settling(message, self.version).items(), *_pairs(headers)])

    def messages_so_far(self) -> list[RawFrame]:
        """The MESSAGEs that came and were not read yet.

        Found out without waiting: a broker that hands out at once has done so between the answers to two frames.
        """
        for command in ("BEGIN", "ABORT"):
            self.done(command, {"transaction": "only-to-be-answered"})
        messages = list(self._set_aside)
        self._set_aside.clear()
        return messages

    def read_frame(self, timeout_s: float | None = None) -> RawFrame:
        """The next frame. Raises TimeoutError; EOFError if the broker closed, ConnectionError if it was cut."""
        if self._set_aside:
            return self._set_aside.popleft()
        return self._read_next(self.timeout_s if timeout_s is None else timeout_s)

    def _read_next(self, timeout_s: float) -> RawFrame:
        deadline = time.monotonic() + timeout_s
        while (frame := self._take_frame()) is None:
            self._read_some(deadline)
        self.transcript.append("< " + str(frame))
        return frame

    def read_frames(self, count: int) -> list[RawFrame]:
        """That many frames."""
        return [self.read_frame() for _ in range(count)]

    def stays_silent(self, for_s: float = 0.2) -> bool:
        """Whether no frame comes for that long. For what can't be found out by asking: it costs the whole time."""
        try:
            self._set_aside.append(self.read_frame(for_s))
        except TimeoutError:
            return True
        return False

    def wait_for_beat(self, timeout_s: float = TIMEOUT_S) -> None:
        """Wait for a heart-beat. Raises TimeoutError."""
        before, deadline = self.beats, time.monotonic() + timeout_s
        while self.beats == before:
            self._read_some(deadline)
            self._skip_beats()

    def wait_until_closed(self, timeout_s: float = TIMEOUT_S) -> list[RawFrame]:
        """Wait until the broker has closed in good order; the frames that came before. Raises as ``read_frame``."""
        frames = []
        try:
            while True:
                frames.append(self.read_frame(timeout_s))
        except EOFError:
            return frames

    def close(self) -> None:
        """Close the socket in good order, with no DISCONNECT."""
        self._socket.close()

    def reset(self) -> None:
        """Cut the connection with a TCP reset."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self._socket.close()

    def _read_some(self, deadline: float) -> None:
        left_s = deadline - time.monotonic()
        if left_s <= 0:
            raise TimeoutError("no frame came in time; so far: " + "; ".join(self.transcript[-10:]))
        self._socket.settimeout(left_s)
        data = self._socket.recv(READ_BYTES)
        if not data:
            raise EOFError("the broker closed the connection")
        self._buffer += data

    def _skip_beats(self) -> None:
        while self._buffer.startswith((b"\n", b"\r")):
            self.beats += self._buffer.startswith(b"\n")
            del self._buffer[:1]

    def _take_frame(self) -> RawFrame | None:
        self._skip_beats()
        blank = self._buffer.find(b"\n\n")
        if blank < 0:
            return None
        command, *texts = self._buffer[:blank].decode("utf-8", "replace").split("\n")
        lines = tuple((_unescape(name), _unescape(value)) for name, _, value in (text.partition(":") for text in texts))
        start = blank + 2
        length = dict(reversed(lines)).get("content-length")
        end = self._buffer.find(0, start) if length is None else start + int(length)
        if end < 0 or len(self._buffer) <= end:
            return None
        body = bytes(self._buffer[start:end])
        del self._buffer[: end + 1]
        return RawFrame(command=command, lines=lines, body=body)


def encode(command: str, headers: Headers = (), body: bytes = b"") -> bytes:
    """The bytes of a frame, headers as they are given."""
    lines = "".join(f"{name}:{value}\n" for name, value in _pairs(headers))
    return f"{command}\n{lines}\n".encode() + body + b"\0"


def connected(host: str, port: int, version: str = "1.2", headers: Headers = ()) -> RawClient:
    """A client that was let in. Raises AssertionError if it was not."""
    client = RawClient(host, port)
    answer = client.connect(version, headers)
    if answer.command != "CONNECTED":
        client.close()
        raise AssertionError(f"the broker did not let us in: {answer}")
    return client


def settling(message: RawFrame, version: str) -> dict[str, str]:
    """The headers by which an ACK or NACK names a MESSAGE."""
    if version == "1.2":
        return {"id": escape(message["ack"])}
    return {"message-id": escape(message["message-id"]), "subscription": escape(message["subscription"])}


def escape(text: str) -> str:
    """A header name or value as STOMP 1.2 escapes it."""
    return text.replace("\\", "\\\\").replace("\r", "\\r").replace("\n", "\\n").replace(":", "\\c")


def _pairs(headers: Headers) -> list[tuple[str, str]]:
    return list(headers.items() if isinstance(headers, Mapping) else headers)


def _unescape(text: str) -> str:
    parts = text.split("\\\\")
    return "\\".join(part.replace("\\r", "\r").replace("\\n", "\n").replace("\\c", ":") for part in parts)

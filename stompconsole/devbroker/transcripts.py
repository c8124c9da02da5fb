"""What was said on each connection, for tests to look at: commands and headers, no bodies, no passwords.

Owns the bounds: so many frames of so many connections, the oldest forgotten first.
"""

from __future__ import annotations

import enum
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

MAX_CONNECTIONS = 200
HIDDEN = "***"


class Way(enum.StrEnum):
    """Who said it."""

    RECEIVED = "received"
    SENT = "sent"


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One frame that went over a connection."""

    way: Way
    command: str
    headers: Mapping[str, str]


class Transcript:
    """The frames of one connection, numbered from 1 in the order of connecting."""

    def __init__(self, connection: int, max_frames: int) -> None:
        self.connection = connection
        self.wanted = max_frames > 0
        self._lines: deque[Line] = deque(maxlen=max_frames)

    def add(self, way: Way, command: str, headers: Mapping[str, str]) -> None:
        """Remember a frame."""
        shown = {name: HIDDEN if name == "passcode" else value for name, value in headers.items()}
        self._lines.append(Line(way=way, command=command, headers=shown))

    def lines(self) -> list[Line]:
        """What was said so far."""
        return list(self._lines)


class Transcripts:
    """The transcripts of the latest connections."""

    def __init__(self, max_frames: int) -> None:
        self._max_frames = max_frames
        self._kept: deque[Transcript] = deque(maxlen=MAX_CONNECTIONS)

    def open(self, connection: int) -> Transcript:
        """The transcript of a new connection."""
        transcript = Transcript(connection, self._max_frames)
        if transcript.wanted:
            self._kept.append(transcript)
        return transcript

    def lines(self) -> dict[int, list[Line]]:
        """Lines by connection."""
        return {transcript.connection: transcript.lines() for transcript in self._kept}

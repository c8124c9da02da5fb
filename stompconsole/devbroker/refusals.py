"""What the broker says no to, as an exception on its way to becoming an ERROR frame."""

from __future__ import annotations

import enum

from stompconsole.errors import StompConsoleError


class AfterError(enum.Enum):
    """What becomes of the connection after an ERROR frame. As on ActiveMQ, not every one ends it."""

    STAY = "stay"
    CLOSE = "close"


class Refused(StompConsoleError):
    """Raised when a frame is answered with ERROR. ``headers`` go onto that frame."""

    def __init__(self, text: str, after: AfterError = AfterError.STAY, headers: dict[str, str] | None = None) -> None:
        super().__init__(text)
        self.text = text
        self.after = after
        self.headers = headers or {}

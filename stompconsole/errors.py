"""Every exception the project raises on purpose, in one tree.

    StompConsoleError
    ├── ConfigurationError            a setting, row or argument that can't work as it stands
    │   └── HandlerNotFound           no such handler, or one that is not allowed
    ├── BrokerError                   what the broker or the way to it did
    │   ├── ConnectFailed             no session could be opened
    │   │   └── LoginRefused          the broker answered CONNECT with an ERROR
    │   ├── SessionClosed             the session has ended; nothing can be settled or sent on it
    │   │   └── RolledBack            what was sent in a transaction, which did not come to its COMMIT
    │   ├── BrokerRefused             an ERROR frame answered what was sent
    │   │   └── BrokerBlocked         it takes nothing now, whatever it is: blocked or full
    │   └── ReceiptTimeout            no RECEIPT in time: it may or may not have been done
    ├── WorkFailed                    what takes messages can't take any now, such as a database that is down
    └── HandlerSignal                 raised by handlers to choose an outcome
        ├── Retry                     try this message again after a while
        └── Reject                    dead-letter this message now

A message names what was wrong, the value, what is allowed and what to do. Errors of drivers
(sockets, TLS, stomp.py) are translated in ``transport`` and never leave it as they are.
"""

from __future__ import annotations

from concurrent.futures import Future
from datetime import timedelta


class StompConsoleError(Exception):
    """Base of everything stompconsole raises on purpose."""


class ConfigurationError(StompConsoleError):
    """Raised when a setting, a row or an argument can't work as it stands."""


class HandlerNotFound(ConfigurationError):
    """Raised when a handler does not exist, does not import or is not allowed."""


class BrokerError(StompConsoleError):
    """Raised when the broker, or the way to it, stands in the way."""


class ConnectFailed(BrokerError):
    """Raised when no session could be opened with a broker."""


class LoginRefused(ConnectFailed):
    """Raised when the broker answered CONNECT with an ERROR frame."""


class SessionClosed(BrokerError):
    """Raised when a session has ended and can no longer carry a frame."""


class RolledBack(SessionClosed):
    """Raised when a transaction did not come to its COMMIT: the broker has nothing of what was sent in it."""


class BrokerRefused(BrokerError):
    """Raised when the broker answered a frame with an ERROR frame."""


class BrokerBlocked(BrokerRefused):
    """Raised when the broker takes nothing now, whatever it is: it was not sent, or not taken."""


class ReceiptTimeout(BrokerError):
    """Raised when a receipt did not come in time: the frame may or may not have been carried out.

    ``outcome`` is done, or fails, when that is known; ``None`` if it will not be.
    """

    def __init__(self, reason: str = "", outcome: Future[None] | None = None) -> None:
        super().__init__(reason or "no RECEIPT came in time")
        self.outcome = outcome


class WorkFailed(StompConsoleError):
    """Raised when messages can't be taken now: they stay with the broker until it works again."""


class HandlerSignal(StompConsoleError):
    """Base of what a handler raises to choose an outcome rather than to report a bug."""


class Retry(HandlerSignal):
    """Raised by a handler to have the message tried again.

    ``after`` is a delay in seconds or a ``timedelta``; ``None`` leaves it to the consumer's retry policy. What is to
    wait longer than a minute leaves the worker and is scheduled on the console, where the consumer's dead letters are
    captured; else it is called again after 15 minutes at most. After 100 attempts in all there is no further one.
    """

    def __init__(self, reason: str = "", *, after: float | timedelta | None = None) -> None:
        super().__init__(reason or "the handler asked for a retry")
        self.after = after.total_seconds() if isinstance(after, timedelta) else after


class Reject(HandlerSignal):
    """Raised by a handler to dead-letter the message at once, with a reason."""

    def __init__(self, reason: str = "") -> None:
        super().__init__(reason or "the handler rejected the message")

"""What was decided about a message, and the failure that led to it."""

from __future__ import annotations

import traceback
from dataclasses import dataclass
from datetime import datetime

from stompconsole.errors import HandlerSignal


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """One failed attempt, in words. ``traceback`` is empty where no code is to blame."""

    error_type: str
    message: str
    traceback: str = ""


@dataclass(frozen=True, slots=True)
class Ack:
    """The message was handled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TryAgain:
    """The message is to be handled again after ``delay_s`` seconds."""

    delay_s: float
    failure: Failure


@dataclass(frozen=True, slots=True, kw_only=True)
class TryLater:
    """The message is to be parked for ``delay_s`` seconds, with ``step`` of the consumer's long steps used by then."""

    delay_s: float
    step: int
    failure: Failure


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """The message is given up on. ``of_message``: it is wrong by itself, whatever its handler needs is well or not."""

    failure: Failure
    of_message: bool = False


Disposition = Ack | TryAgain | TryLater | DeadLetter
ACK = Ack()


def failure_of(error: BaseException) -> Failure:
    """An exception as a failure. A signal of the handler is a decision, so it has no traceback."""
    kind = type(error)
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    if isinstance(error, HandlerSignal):
        return Failure(error_type=kind.__name__, message=_words(error))
    text = "".join(traceback.format_exception(error))
    return Failure(error_type=name, message=_words(error), traceback=text)


def _words(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # noqa: BLE001 - the team's exception may fail at this too: that must not keep its message from being settled
        return "(its text can't be made: str() of it fails)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempts:
    """How often one delivery was tried here, and since when it fails."""

    count: int
    first_failed_at: datetime

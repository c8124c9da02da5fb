"""The circuit breaker of a subscription: when it opens, when one message is tried, when it closes. Pure.

    closed --failures--> open --back-off is over--> half-open --the message passes--> closed
                          ^------the message fails, back-off doubled-----'

It counts messages, not attempts: one that fails again and again is one failure, for it may be that message's own fault.
What shows a message to be wrong whatever is downstream (a body that can't be read, a correlation-id that is missing, a
``Reject``) is neither a failure nor a success.
"""

from __future__ import annotations

import enum
import time
from collections import deque
from collections.abc import Callable

from stompconsole.delivery.disposition import Ack, DeadLetter, Disposition, Failure, TryAgain, TryLater
from stompconsole.delivery.specs import AckMode, BreakerPolicy, Quoting

PAUSED = "paused by its breaker"
"""Words of every reason of an open breaker; pages know it by them."""

WINDOW = 50
"""Messages that a ratio is taken over."""

LEAST = 10
"""A ratio of fewer says nothing."""

LONGEST_BACK_OFF_S = 600.0
MAX_WORDS = 200


class Phase(enum.Enum):
    """Whether messages go through."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"


class Outcome(enum.Enum):
    """What a handled message says of what is downstream."""

    PASSED = "passed"
    FAILED = "failed"
    SILENT = "silent"


def outcome_of(disposition: Disposition) -> Outcome:
    """What follows from what was decided."""
    match disposition:
        case Ack():
            return Outcome.PASSED
        case DeadLetter(of_message=True):
            return Outcome.SILENT
        case TryAgain() | TryLater() | DeadLetter():
            return Outcome.FAILED


def in_words(failure: Failure, quoting: Quoting) -> str:
    """``ValueError: no good``, in one short line."""
    match quoting:
        case Quoting.MESSAGE:
            return " ".join(f"{failure.error_type}: {failure.message}".split())[:MAX_WORDS]
        case Quoting.TYPE:
            return failure.error_type[:MAX_WORDS]


def why_never(mode: str, forgets: str) -> str:
    """Why a subscription can't have a breaker, in words; empty if it can. ``forgets``: what its broker says to leaving
    for a while, see ``Dialect.forgets``."""
    if mode == AckMode.AUTO:
        return "With ack mode auto nothing can be given back: what has arrived has to be handled."
    return forgets


class Breaker:
    """The state of one. Not thread-safe, see ``gate``. Times in seconds of ``clock``."""

    def __init__(self, policy: BreakerPolicy, clock: Callable[[], float] = time.monotonic) -> None:
        self.phase = Phase.CLOSED
        self._policy = policy
        self._clock = clock
        self._in_a_row = 0
        self._tries = 0
        self._lately: deque[bool] = deque(maxlen=WINDOW)
        self._cause = ""
        self._last_failure = ""
        self._back_off_s = policy.probe_s
        self._until_s = 0.0

    @property
    def why(self) -> str:
        """Why it is not closed, in words; empty when it is."""
        tried = f"; {self._tries} tried since, failed as well" if self._tries else ""
        return f"{self._cause}{tried}, last {self._last_failure}" if self._cause else ""

    @property
    def due_in_s(self) -> float:
        """How long until a message is tried; 0 when it may be."""
        return max(0.0, self._until_s - self._clock()) if self.phase is Phase.OPEN else 0.0

    def passed(self) -> None:
        """A message was handled."""
        match self.phase:
            case Phase.CLOSED:
                self._in_a_row = 0
                self._lately.append(False)
            case Phase.HALF_OPEN:
                self._close()
            case Phase.OPEN:
                # Begun before it opened: too late to say anything.
                return

    def failed(self, what: str) -> None:
        """A message failed, and how, in words."""
        match self.phase:
            case Phase.CLOSED:
                self._in_a_row += 1
                self._lately.append(True)
                self._cause = self._too_many()
                if self._cause:
                    self._open(what)
            case Phase.HALF_OPEN:
                self._tries += 1
                self._back_off_s = min(self._back_off_s * 2, max(LONGEST_BACK_OFF_S, self._policy.probe_s))
                self._open(what)
            case Phase.OPEN:
                return

    def hurry(self) -> None:
        """Do not wait any longer: somebody says that it is worth a try."""
        self._until_s = self._clock()

    def half_open(self) -> None:
        """Its back-off is over: one message is to be tried."""
        if self.phase is Phase.OPEN and self.due_in_s == 0:
            self.phase = Phase.HALF_OPEN

    @property
    def is_first_try(self) -> bool:
        """Whether no message was tried since it opened."""
        return self._tries == 0

    def _too_many(self) -> str:
        row, percent = self._policy.in_a_row, self._policy.percent
        if row and self._in_a_row >= row:
            return f"{row} failures in a row" if row > 1 else "1 failure"
        count, failed = len(self._lately), sum(self._lately)
        if percent and count >= LEAST and failed * 100 > percent * count:
            return f"{failed} of the last {count} messages failed"
        return ""

    def _open(self, what: str) -> None:
        self.phase = Phase.OPEN
        self._last_failure = what
        self._until_s = self._clock() + self._back_off_s

    def _close(self) -> None:
        self.phase = Phase.CLOSED
        self._in_a_row = self._tries = 0
        self._lately.clear()
        self._cause = self._last_failure = ""
        self._back_off_s = self._policy.probe_s

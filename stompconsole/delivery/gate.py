"""Between a subscription and its work: lets through all messages, none, or one to try, as the breaker says.

One for all sessions of a runner. Handler threads tell outcomes, the io thread asks for admission, the runner waits.
What is given back begins its attempts anew, but for a message that was tried: else one that can't be handled, whatever
is downstream, would be tried for ever, and never be given up as its retry policy has it.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from datetime import datetime

from stompconsole import correlation
from stompconsole.delivery.breaker import PAUSED, Breaker, Outcome, Phase, in_words, outcome_of, why_never
from stompconsole.delivery.disposition import ACK, Ack, Disposition, TryAgain
from stompconsole.delivery.settlement import Delivery, Settlement
from stompconsole.delivery.specs import AckMode, BreakerPolicy

CLOSED = "the breaker has closed"

Key = tuple[bytes, str]


def untold(words: str) -> None:
    """For a gate that nobody listens to."""


class Gate:
    """Thread-safe. ``told`` hears what becomes of the breaker, in words; it must be quick and never raise."""

    def __init__(
        self,
        policy: BreakerPolicy | None = None,
        told: Callable[[str], None] = untold,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._policy = policy or BreakerPolicy()
        self._told = told
        self._clock = clock
        self._lock = threading.Lock()
        self._breaker = Breaker(self._policy, clock)
        self._settlement: Settlement | None = None
        self._put: Callable[[Delivery], None] | None = None
        self._tried: Delivery | None = None
        self._held: deque[Delivery] = deque()
        self._key: Key = (b"", "")
        self._attempts: tuple[Key, int, datetime | None] | None = None

    @property
    def phase(self) -> Phase:
        return self._breaker.phase

    @property
    def due_in_s(self) -> float:
        """How long until one message is to be tried."""
        return self._breaker.due_in_s

    @property
    def words(self) -> str:
        """Why no or hardly any messages go through; empty when all do."""
        with self._lock:
            return self._words()

    def begin(
        self, settlement: Settlement, put: Callable[[Delivery], None], *, mode: AckMode, forgets: str = ""
    ) -> str:
        """A session begins, whose messages it lets through to ``put``: all of them if it can't have a breaker; then
        says why. See ``breaker.why_never``."""
        why = why_never(mode, forgets) if self._policy.on else ""
        with self._lock:
            self._settlement, self._put, self._tried = settlement, put, None
            self._held.clear()
            if why:
                self._settlement, self._breaker = None, Breaker(self._policy, self._clock)
        return f"its breaker is off: {why}" if why else ""

    def half_open(self) -> None:
        """The back-off is over, if it is: of the next session one message goes through."""
        with self._lock:
            was = self._breaker.phase
            self._breaker.half_open()
            # Told once: later tries are told by how they end.
            if self._breaker.phase is not was and self._breaker.is_first_try:
                self._told("breaker half-open, probing")

    def hurry(self) -> None:
        """An operator wants a message tried now; of no effect unless it is open."""
        with self._lock:
            self._breaker.hurry()

    def admits(self, delivery: Delivery) -> bool:
        """Whether work may have this delivery now. Called in the order of arrival."""
        if self._breaker.phase is Phase.CLOSED:
            return True
        with self._lock:
            if self._breaker.phase is Phase.HALF_OPEN and self._tried is None:
                self._try(delivery)
                return True
            self._held.append(delivery)
            return False

    def tell(self, delivery: Delivery, disposition: Disposition = ACK) -> None:
        """What was decided about a message; told before it is settled, so that what follows finds the gate as it is."""
        if self._settlement is None or not self._policy.on:
            return
        with self._lock:
            was = self._breaker.phase
            following = self._count(delivery, disposition)
            if self._breaker.phase is not was:
                # Under the lock: no thread that tells its outcome after this one begins with another message.
                self._settlement.give_back((), self._words() or CLOSED)
            put = self._put
        if following is not None and put is not None:
            put(following)

    def _count(self, delivery: Delivery, disposition: Disposition) -> Delivery | None:
        """Have it count; returns the one that is to be tried next, if it said nothing."""
        if self._breaker.phase is Phase.HALF_OPEN:
            return self._count_tried(delivery, disposition) if delivery is self._tried else None
        was_open = self._breaker.phase is Phase.OPEN
        if isinstance(disposition, Ack):
            self._breaker.passed()
        elif outcome_of(disposition) is Outcome.FAILED and delivery.attempts <= delivery.attempts_before + 1:
            self._breaker.failed(in_words(disposition.failure, self._policy.quoting))
            # Once: others may have been begun before it opened, on other threads.
            if self._breaker.phase is Phase.OPEN and not was_open:
                self._told(f"breaker opened: {self._until()}")
        return None

    def _count_tried(self, delivery: Delivery, disposition: Disposition) -> Delivery | None:
        self._tried = self._attempts = None
        if isinstance(disposition, Ack):
            self._breaker.passed()
            self._told("breaker closed: the message it tried was handled")
        elif outcome_of(disposition) is Outcome.FAILED:
            if isinstance(disposition, TryAgain):
                self._attempts = (self._key, delivery.attempts, delivery.first_failed_at)
            self._breaker.failed(in_words(disposition.failure, self._policy.quoting))
            self._told(f"breaker stays open: {self._until()}")
        elif self._held:
            self._try(self._held.popleft())
            return self._tried
        return None

    def _try(self, delivery: Delivery) -> None:
        self._tried = delivery
        # By what is in it: brokers that give a message again may give it another id.
        self._key = delivery.body, delivery.headers.get(correlation.HEADER, "")
        if self._attempts is not None and self._attempts[0] == self._key:
            _, delivery.attempts, delivery.first_failed_at = self._attempts

    def _words(self) -> str:
        match self._breaker.phase:
            case Phase.CLOSED:
                return ""
            case Phase.OPEN:
                return f"{PAUSED}: {self._until()}"
            case Phase.HALF_OPEN:
                doing = "trying one message" if self._tried is not None else "waiting for a message to try"
                return f"{PAUSED}: {self._breaker.why}; {doing}"

    def _until(self) -> str:
        return f"{self._breaker.why}; one message is tried in {self._breaker.due_in_s:.0f} s"

"""What a sender has written and the broker has not confirmed: what is late, and what is held back meanwhile.

A broker in an alarm, or with a full store, goes silent: no ERROR, and its heart-beats go on. What was written is with
it all the same: RabbitMQ carries it out once the alarm is over, even where the connection was closed long before
(seen on 3.10.8), ActiveMQ mostly. A session given up for a new one leaves a copy of each message behind, and the next
one another. So a silent session that beats is set aside and waited for, and nothing more goes where it got stuck:
ActiveMQ may block a connection over one queue, and others are to go on.
"""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Collection

from stompconsole.brokers import Dialect
from stompconsole.errors import BrokerBlocked, BrokerRefused, ReceiptTimeout
from stompconsole.transport.outcome import Outcome
from stompconsole.transport.session import Session

NOT_CONFIRMED = "the broker does not confirm"

SILENT_AFTER_S = 1.0
"""No receipt for this long though some are awaited: nothing more is written until one comes, or is late."""

MAX_SET_ASIDE = 8
"""Sessions that are waited for at once. With more, the broker is taken to be blocked as a whole."""

GIVE_UP_AFTER_S = 3_600.0
"""A session that is waited for is ended after this long: nothing is waited for without a limit."""


_ONE_AT_A_TIME = threading.Lock()
"""Of all answers: it is held for no longer than it takes to look, and one for each would cost more than the rest."""


class Answer:
    """What becomes of one SEND. ``future`` is told in time; if the receipt is late, it fails with a ReceiptTimeout
    whose ``outcome`` is told the rest. Thread-safe."""

    __slots__ = ("_finished", "_outcome", "future")

    def __init__(self) -> None:
        self.future = Outcome()
        self._outcome: Outcome | None = None
        self._finished = False

    def finish(self, error: BaseException | None) -> None:
        """It is confirmed, or has failed; what was told first holds."""
        with _ONE_AT_A_TIME:
            if self._finished:
                return
            self._finished = True
            told = self._outcome or self.future
        # Outside the lock: whoever waits is called back from here.
        told.tell(error)

    def be_late(self, reason: str) -> None:
        """Nothing has come in time; does nothing if it just has."""
        with _ONE_AT_A_TIME:
            if self._finished:
                return
            self._outcome = Outcome()
        self.future.set_exception(ReceiptTimeout(reason, self._outcome))


def meaning(error: BaseException, dialect: Dialect) -> BaseException:
    """The same in words of ours, where it is the broker's trouble and not that of what was sent."""
    words = str(error)
    if dialect.is_full(words):
        # Where the session has ended with it, what else was on it may have been taken.
        kind = BrokerBlocked if isinstance(error, BrokerRefused) else ReceiptTimeout
        return kind(f"{NOT_CONFIRMED}: {words}")
    return ReceiptTimeout(words) if NOT_CONFIRMED in words else error


class Sent:
    """One SEND that is written, or several in a transaction, and whether it is ``done``: confirmed or failed."""

    __slots__ = ("answer", "at", "destinations", "done", "session")

    def __init__(self, destinations: Collection[str], session: Session, answer: Answer) -> None:
        self.at = math.inf
        self.destinations = destinations
        self.session = session
        self.answer = answer
        self.done = False


class Awaited:
    """The receipts that one sender waits for, each for ``limit_s`` seconds before it is late.

    For the sender's thread, but for ``confirmed`` and ``is_aside``.
    """

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        self._sent: deque[Sent] = deque()
        self._late: list[Sent] = []
        self._aside: set[Session] = set()
        self._confirmed_at = -math.inf

    def __bool__(self) -> bool:
        self._forget()
        return bool(self._sent or self._late)

    def add(self, sent: Sent) -> None:
        """A SEND was written; its time begins."""
        sent.at = time.monotonic()
        self._sent.append(sent)

    def confirmed(self) -> None:
        """A receipt has come. Called on the io thread."""
        self._confirmed_at = time.monotonic()

    @property
    def in_time(self) -> bool:
        """Whether some are waited for that are not late."""
        self._forget()
        return bool(self._sent)

    @property
    def all_done(self) -> bool:
        """Whether none is waited for but what is late."""
        return all(sent.done for sent in self._sent)

    def holds(self, destination: str) -> bool:
        """Whether nothing more is to be written there now."""
        self._forget()
        if len(self._aside) >= MAX_SET_ASIDE or any(destination in sent.destinations for sent in self._late):
            return True
        return bool(self._sent) and time.monotonic() - self._quiet_since() > SILENT_AFTER_S

    def is_aside(self, session: Session) -> bool:
        """Whether a session is only waited for. From any thread."""
        return session in self._aside

    def patience_s(self) -> float | None:
        """How long until the next one is late, or was for too long; None when nothing is awaited."""
        self._forget()
        due_at = math.inf
        if self._sent:
            due_at = self._sent[0].at + self._limit_s
        if self._late:
            due_at = min(due_at, self._late[0].at + GIVE_UP_AFTER_S)
        return max(0.0, due_at - time.monotonic()) + 0.01 if due_at < math.inf else None

    def tell_late(self, silence: str) -> None:
        """Tell those that have waited long enough, and set their session aside if it has been silent of late. One
        whose end nobody would notice is ended instead. ``silence`` is what this kind of broker may have."""
        now = time.monotonic()
        reason = f"{NOT_CONFIRMED}: no RECEIPT in {self._limit_s:g} s, {silence}"
        while self and self._sent and self._sent[0].at + self._limit_s < now:
            sent = self._sent.popleft()
            if not sent.session.watched:
                sent.session.abort(reason)
                continue
            self._late.append(sent)
            if now - self._confirmed_at > self._limit_s / 2:
                self._aside.add(sent.session)
            sent.answer.be_late(reason)
        for sent in self._late:
            if sent.at + GIVE_UP_AFTER_S < now:
                sent.session.abort(f"{NOT_CONFIRMED}: no RECEIPT in {GIVE_UP_AFTER_S:g} s")

    def come_back(self) -> list[Session]:
        """Sessions that were set aside and owe nothing any more."""
        self._forget()
        back = [session for session in self._aside if not any(sent.session is session for sent in self._late)]
        self._aside.difference_update(back)
        return back

    def aside(self) -> list[Session]:
        """Those that are."""
        return list(self._aside)

    def _quiet_since(self) -> float:
        return max(self._confirmed_at, self._sent[0].at)

    def _forget(self) -> None:
        while self._sent and self._sent[0].done:
            self._sent.popleft()
        if self._late:
            self._late = [sent for sent in self._late if not sent.done]

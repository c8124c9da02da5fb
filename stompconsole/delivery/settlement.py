"""Settling deliveries of one session: which ACK is owed, when it is written, and that it is written once.

Handler threads and the sending session's io thread settle; a lock guards what is owed, a second one the
writing, so that a slow write never holds a handler up. An ACK waits for company only while its thread has
more work in hand; the runner's timer writes what a slow handler would otherwise keep back.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Protocol

from stompconsole import correlation
from stompconsole.delivery.envelope import Earlier
from stompconsole.errors import SessionClosed
from stompconsole.transport import frames
from stompconsole.transport.session import Session

logger = logging.getLogger(__name__)

LINGER_S = 0.005
"""How long an ACK may wait for company when its thread has gone into another handler call."""


class Surroundings(Protocol):
    """What a settlement needs of the subscription around it."""

    def after(self, delay_s: float, action: Callable[[], None]) -> None:
        """Run a quick action in ``delay_s`` seconds, unless the subscription has ended by then."""

    def put(self, delivery: Delivery) -> None:
        """Queue a delivery for work."""

    def wake(self) -> None:
        """Have it look at ``failure``."""


class Delivery:
    """One message handed to us. Belongs to its session: settling it after the session's end does nothing."""

    __slots__ = (
        "ack_id",
        "attempts",
        "attempts_before",
        "body",
        "first_failed_at",
        "headers",
        "in_work",
        "number",
        "retry_step",
        "settled",
        "settlement",
    )

    def __init__(self, settlement: Settlement, headers: dict[str, str], body: bytes, ack_header: str = "ack") -> None:
        self.settlement = settlement
        self.headers = headers
        self.body = body
        self.ack_id = headers.get(ack_header, "")
        self.settled = False
        self.in_work = False
        self.number = 0
        self.attempts = 0
        self.attempts_before = 0
        self.retry_step = 0
        self.first_failed_at: datetime | None = None

    @property
    def destination(self) -> str:
        """Where it was subscribed to, not what a header says: brokers spell that as the sender did."""
        return self.settlement.destination

    @property
    def message_id(self) -> str:
        return self.headers.get("message-id", "")

    @property
    def alive(self) -> bool:
        """Whether it can still be settled."""
        return not self.settled and self.settlement.open

    @property
    def wanted(self) -> bool:
        """Whether a handler is still to begin with it, which it then does: it can be settled, and nobody drains."""
        return not self.settled and self.settlement.begins(self)

    def ack(self) -> bool:
        """Settle as done; false if it was settled before or its session has ended."""
        return self.settlement.ack(self)

    def nack(self, headers: dict[str, str] | None = None) -> bool:
        """Settle as refused, with what the broker makes of it; false as for ``ack``."""
        return self.settlement.nack(self, headers or {})

    def resume(self, earlier: Earlier | None) -> None:
        """Go on counting from where it was parked; once, though it is tried again here."""
        if earlier is not None and not self.attempts_before:
            self.attempts_before, self.retry_step = earlier.attempts, earlier.retry_step
            # Not fewer than a breaker that tried it before remembers.
            self.attempts = max(self.attempts, earlier.attempts)
            self.first_failed_at = earlier.first_failed_at

    def failed(self) -> None:
        """Count a failed attempt."""
        self.attempts += 1
        self.first_failed_at = self.first_failed_at or datetime.now(UTC)


class Settlement:
    """``client-individual``: every delivery has its own ACK, in the order they were settled."""

    def __init__(self, session: Session, destination: str, *, limit: int, around: Surroundings) -> None:
        self.destination = destination
        self.received = 0
        self.settled = 0
        self.failure = ""
        self._session = session
        self._limit = limit
        self._around = around
        self._lock = threading.Lock()
        self._writing = threading.Lock()
        self._owed: deque[bytes] = deque()
        self._is_shut = False
        self.wants_more = True
        self._taken = 0
        self._idle = threading.Condition(self._lock)

    @property
    def open(self) -> bool:
        return self._session.close_reason is None and not self._is_shut

    @property
    def in_flight(self) -> int:
        """Messages the broker has handed us that are not settled."""
        return self.received - self.settled if self.open else 0

    def arrived(self, delivery: Delivery) -> None:
        """A message came in; called on the io thread, in the order of arrival."""
        self.received += 1
        delivery.number = self.received

    def begins(self, delivery: Delivery) -> bool:
        """Whether a handler may begin with what went into work: not once somebody drains."""
        return self.wants_more

    def take(self, batch: Sequence[Delivery]) -> list[Delivery]:
        """Those that go into work: draining waits for them. None any more once it has begun."""
        with self._lock:
            if not self.wants_more or not self.open:
                return []
            taken = [delivery for delivery in batch if not delivery.settled]
            for delivery in taken:
                delivery.in_work = True
            self._taken += len(taken)
            return taken

    def leave(self, delivery: Delivery) -> None:
        """A delivery leaves work as it came; the broker gives it again."""
        with self._lock:
            self._leave(delivery)

    def _leave(self, delivery: Delivery) -> None:
        # Once for each time it was taken: a handler may settle by hand what waits for its retry already.
        if delivery.in_work:
            delivery.in_work = False
            self._taken -= 1
            if self._taken == 0:
                self._idle.notify_all()

    def again(self, delivery: Delivery, delay_s: float) -> None:
        """A delivery leaves work unsettled, to be tried later; draining does not wait for it."""
        self.leave(delivery)
        self._around.after(delay_s, lambda: self._around.put(delivery))

    def after(self, delay_s: float, action: Callable[[], None]) -> None:
        """Run a quick action in ``delay_s`` seconds."""
        self._around.after(delay_s, action)

    def drain(self) -> None:
        """From now on nothing goes into work. What has is waited for by ``wait_idle``."""
        with self._lock:
            self.wants_more = False

    def wait_idle(self, timeout_s: float) -> bool:
        """Wait until nothing is in work, or the session has ended; false if that took too long."""
        with self._idle:
            return self._idle.wait_for(lambda: self._taken == 0 or self._session.close_reason is not None, timeout_s)

    def ended(self) -> None:
        """The session has ended: whoever waits for handlers to finish waits in vain."""
        self.wants_more = False
        self._tell_waiting()

    def _tell_waiting(self) -> None:
        with self._idle:
            self._idle.notify_all()

    def ack(self, delivery: Delivery) -> bool:
        return self._settle(delivery, frames.ack(delivery.ack_id))

    def nack(self, delivery: Delivery, headers: dict[str, str]) -> bool:
        return self._settle(delivery, frames.encode("NACK", {"id": delivery.ack_id, **headers}))

    def shut(self) -> None:
        """Write what is owed and settle nothing more: an ACK behind UNSUBSCRIBE is ignored, or ends the connection."""
        with self._lock:
            self._is_shut = True
        # Not flush(), which leaves it to a thread that is writing already.
        with self._writing, suppress(SessionClosed):
            self._write(self._collect())

    def give_back(self, batch: Sequence[Delivery], reason: str) -> None:
        """Have the session left in order, with this batch un-acked: cut off, Artemis would count a failed attempt."""
        self.failure = reason
        self.drain()
        for delivery in batch:
            self.leave(delivery)
        self._around.wake()

    def fail(self, reason: str) -> None:
        """End the session: all that is not settled goes back to the broker."""
        self._session.abort(reason)

    def flush(self) -> None:
        """Write what is owed. Whoever is writing already writes ours as well: it looks again after each write."""
        while self._owed and self._writing.acquire(blocking=False):
            try:
                self._write(self._collect())
            except SessionClosed:
                return
            finally:
                self._writing.release()

    def _settle(self, delivery: Delivery, frame: bytes) -> bool:
        with self._lock:
            if delivery.settled or not self.open:
                self._say_late(delivery)
                return False
            delivery.settled = True
            self.settled += 1
            self._leave(delivery)
            first = not self._owed
            self._owe(delivery, frame)
            full = len(self._owed) >= self._limit
        if full:
            self.flush()
        elif first:
            self._around.after(LINGER_S, self.flush)
        return True

    def _owe(self, delivery: Delivery, frame: bytes) -> None:
        self._owed.append(frame)

    def _collect(self) -> bytes:
        with self._lock:
            data = b"".join(self._owed)
            self._owed.clear()
        return data

    def _write(self, data: bytes) -> None:
        if data:
            self._session.write(data)

    def _say_late(self, delivery: Delivery) -> None:
        why = "it was settled before" if delivery.settled else "its subscription has ended, the broker gives it again"
        marks = {"message_id": delivery.message_id, "correlation_id": correlation.shown(delivery.headers)}
        logger.info("message %s of %s is not settled: %s", delivery.message_id, self.destination, why, extra=marks)

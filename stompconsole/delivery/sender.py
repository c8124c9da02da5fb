"""The sending session of a broker: SENDs with receipts, many in flight, shared by whoever sends.

Kept apart from consuming sessions, since an alarm or a full store blocks whoever sends, ACKs included,
without a word (BROKERS.md 15). One thread per sender opens the session, writes, and watches the receipts;
while a broker confirms nothing it waits, and holds back what comes meanwhile: see ``awaited``.
"""

from __future__ import annotations

import itertools
import logging
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import replace
from functools import partial

from stompconsole.brokers import Dialect, dialect_for
from stompconsole.delivery.awaited import NOT_CONFIRMED, Awaited, Sent, meaning
from stompconsole.delivery.jobs import Job, Message
from stompconsole.delivery.names import Names
from stompconsole.delivery.outbox import Outbox
from stompconsole.delivery.sending import CLOSED, SendingSession
from stompconsole.delivery.specs import BrokerSpec
from stompconsole.delivery.transaction import Transaction
from stompconsole.errors import BrokerBlocked, ConfigurationError, RolledBack, SessionClosed
from stompconsole.transport.outcome import Told
from stompconsole.transport.session import Endpoint, Session

logger = logging.getLogger(__name__)

LOOK_AGAIN_S = 0.1
"""How often what is held back is looked at. A receipt that comes wakes the thread by itself."""

MAX_TRIES = 4
"""How often a message is sent on account of a queue that exists with other properties."""


class Sender:
    """Sends to one broker. Thread-safe; opens its session when it is first needed."""

    def __init__(self, broker: BrokerSpec) -> None:
        self._broker = broker
        self._jobs: queue.SimpleQueue[Job | Callable[[], None] | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._dialect = Dialect()
        self._held: dict[str, deque[tuple[float, Job]]] = {}
        self._awaited = Awaited(broker.receipt_timeout_s)
        self._session = SendingSession(broker, opened=self._opened, usable=self._is_usable, wake=self._wake)
        self._names = Names()
        self._lone: Job | None = None
        self._again: deque[Job] = deque()
        self._thread: threading.Thread | None = None
        self._closed = False
        self._outbox = Outbox()
        self._transactions = itertools.count(1)

    def send(self, destination: str, headers: Mapping[str, str], body: bytes) -> Future[None]:
        """SEND with a receipt. The future is done when the broker has it, or fails with ConnectFailed,
        BrokerRefused, ReceiptTimeout or SessionClosed: then it may or may not have it, except on the first two.
        After a ReceiptTimeout with an ``outcome`` it may yet be confirmed: whoever must not send it twice waits on.

        ``headers`` are complete but for destination and content-length; the latter is set right where it is
        given, and added for a body that holds a NUL.
        """
        return self._queue(Job(messages=(Message(destination, dict(headers), body),), destinations=(destination,)))

    def send_together(self, messages: Sequence[Message]) -> Future[None]:
        """SEND them in one transaction, for a dialect that ``transacts_sends``: the future is done when the broker has
        them all. It fails as above, and with BrokerRefused or RolledBack where it has none of them: one may be to
        blame, and which is not known.
        """
        return self._queue(Job(messages=messages, destinations={message.destination for message in messages}))

    def _queue(self, job: Job) -> Future[None]:
        # Under the lock: behind the None of close() nobody would look at it any more.
        with self._lock:
            if not self._closed:
                self._begin()
                self._jobs.put(job)
                return job.answer.future
        job.answer.finish(SessionClosed(CLOSED))
        return job.answer.future

    def _begin(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name=f"{self._broker.name} sender", daemon=True)
            self._thread.start()

    def _wake(self) -> None:
        self._jobs.put(None)

    def dialect(self) -> Dialect:
        """The broker's dialect; connects if need be. Raises ConnectFailed."""
        self._session.open()
        with self._lock:
            if not self._closed:
                # It is what closes a session over which nothing is sent.
                self._begin()
        return self._dialect

    @property
    def is_open(self) -> bool:
        """Whether there is a session now."""
        return self._session.is_open

    def _is_usable(self, session: Session) -> bool:
        return not self._awaited.is_aside(session)

    def close(self, timeout_s: float) -> None:
        """Send what is queued, wait for receipts, DISCONNECT; at most ``timeout_s`` seconds."""
        deadline = time.monotonic() + timeout_s
        with self._lock:
            self._closed = True
            thread = self._thread
            self._jobs.put(None)
        if thread is not None:
            thread.join(timeout_s)
        session = self._session.end()
        for aside in self._awaited.aside():
            aside.abort(CLOSED)
        if session is not None:
            session.disconnect(max(0.1, deadline - time.monotonic()))

    def _run(self) -> None:
        while not self._closed or not self._jobs.empty() or self._again or self._held or self._awaited:
            with suppress(queue.Empty):
                # None wakes: a receipt has come, the primary is back, or the end.
                if (job := self._next()) is not None:
                    self._session.used()
                    self._take_up(job) if isinstance(job, Job) else job()
            self._awaited.tell_late(self._dialect.silence)
            if self._session.is_called_back and not self._awaited:
                self._session.leave()
            self._let_go()
            if self._rests():
                return

    def _next(self) -> Job | Callable[[], None] | None:
        """What is queued, or comes in time; raises queue.Empty. Nothing stays unwritten while it is waited for."""
        with suppress(queue.Empty):
            return self._jobs.get_nowait()
        self._outbox.flush()
        return self._jobs.get(timeout=self._patience_s())

    def _patience_s(self) -> float:
        if self._held:
            return LOOK_AGAIN_S
        patience_s, idle_left_s = self._awaited.patience_s(), self._session.idle_left_s()
        if patience_s is None:
            return 0.0 if self._closed else idle_left_s
        return min(patience_s, idle_left_s) if idle_left_s else patience_s

    def _rests(self) -> bool:
        """Close a session that is idle; true when the thread is not needed either until the next message."""
        if self._closed or self._again or self._held or self._awaited or self._session.idle_left_s() > 0:
            return False
        self._session.leave()
        # Under the lock: what comes after this begins a new thread.
        with self._lock:
            if self._closed or self._session.is_open or not self._jobs.empty():
                return False
            self._thread = None
            return True

    def _take_up(self, job: Job) -> None:
        for destination in job.destinations:
            if destination in self._held or self._holds(destination):
                until = time.monotonic() + self._broker.receipt_timeout_s
                self._held.setdefault(destination, deque()).append((until, job))
                return
        self._carry_out(job)

    def _holds(self, destination: str) -> bool:
        """Whether nothing is to be written there now: the broker is silent, or the standby about to be left, which it
        is between two sends only, or something has to go alone."""
        leaving = self._session.is_called_back and self._awaited.in_time
        return leaving or self._awaited.holds(destination) or self._waits_its_turn(destination)

    def _waits_its_turn(self, destination: str) -> bool:
        lone = self._lone
        # Not for one that is late: whatever it is stuck with, the others need not be.
        if self._again or (lone is not None and not lone.answer.future.done()):
            return True
        return not self._is_known(destination) and not self._awaited.all_done

    def _is_known(self, destination: str) -> bool:
        """Whether a message there ends no session, as far as can be known before it is sent."""
        if self._session.now is None:
            return False
        return not self._dialect.sending_declares or self._names.is_known(destination)

    def _let_go(self) -> None:
        """Write what was held back where that is over; tell what was for too long."""
        while self._again:
            self._carry_out(self._again.popleft())
        for destination, jobs in list(self._held.items()):
            while jobs and not any(self._holds(each) for each in jobs[0][1].destinations):
                self._carry_out(jobs.popleft()[1])
            while jobs and jobs[0][0] < time.monotonic():
                held_s = self._broker.receipt_timeout_s
                reason = f"{NOT_CONFIRMED}, {self._dialect.silence}: held back for {held_s:g} s, and not sent"
                jobs.popleft()[1].answer.finish(BrokerBlocked(reason))
            if not jobs:
                del self._held[destination]
        for session in self._awaited.come_back():
            if session is not self._session.now:
                session.abort("another one has taken its place")

    def _carry_out(self, job: Job) -> None:
        if self._is_known(job.destination):
            self._write(job)
            return
        # By its own name, and alone: if the queue exists with other properties, nothing else goes with the session.
        self._names.find_out(job.destination)
        self._lone = job
        self._write(job)
        if not self._dialect.sending_declares and len(job.messages) == 1:
            # Of the first session this is known only now.
            self._lone = None

    def _write(self, job: Job) -> None:
        try:
            session = self._session.open()
            sent = Sent(job.destinations, session, job.answer)
            told = partial(self._finish, job, sent)
            if len(job.messages) > 1:
                self._write_together(session, job, told)
            else:
                (message,) = job.messages
                headers = self._headers(message, session.endpoint)
                # An ERROR that names no frame is about one of a transaction then, perhaps one that is over.
                self._outbox.send(session, headers, message.body, told, by_name=self._dialect.transacts_sends)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is this job's: the thread is everybody's
            self._lone = None
            job.answer.finish(error)
            return
        self._awaited.add(sent)

    def _write_together(self, session: Session, job: Job, told: Told) -> None:
        if not self._dialect.transacts_sends:
            raise RolledBack(f"{session.endpoint} has no transactions for what is sent")
        name = f"t{next(self._transactions)}"
        transaction = Transaction(session, self._dialect, name, partial(self._taken, job), told)
        # Nothing else until it has its COMMIT, which would wait behind a message that is stuck.
        self._lone = job
        try:
            transaction.begin(
                self._outbox, [(self._headers(message, session.endpoint), message.body) for message in job.messages]
            )
        except ConfigurationError as error:
            # It is about one of them.
            raise RolledBack(str(error)) from error

    def _taken(self, job: Job, transaction: Transaction) -> None:
        # On the io thread, which must not write: what it writes to may wait for it to read.
        self._awaited.confirmed()
        self._jobs.put(partial(self._end, job, transaction))

    def _end(self, job: Job, transaction: Transaction) -> None:
        transaction.end(self._outbox)
        if self._lone is job:
            self._lone = None

    def _headers(self, message: Message, at: Endpoint) -> dict[str, str]:
        headers = {**message.headers, **self._dialect.route(self._names.at(at, message.destination))}
        if "content-length" in headers or b"\0" in message.body:
            headers["content-length"] = str(len(message.body))
        return headers

    def _finish(self, job: Job, sent: Sent, error: BaseException | None) -> None:
        """Runs on the io thread, or on whoever ends the session; before ``_write`` goes on, perhaps."""
        sent.done = True
        if error is None:
            self._awaited.confirmed()
            for destination in job.destinations:
                self._names.taken(destination)
            job.answer.finish(None)
        else:
            self._fail(job, sent.session, error)
        if self._lone is job:
            self._lone = None
        if self._closed or self._again or self._held or self._awaited.aside() or self._session.is_called_back:
            # The thread may be waiting for this receipt alone: to end, to write what it holds back, to tidy up.
            self._wake()

    def _fail(self, job: Job, session: Session, error: BaseException) -> None:
        other = self._dialect.undeclared(job.destination, str(error))
        if other is not None:
            logger.warning("%s exists with other properties, sending to %s", job.destination, other)
            self._names.clashed(job.destination, other, session.endpoint)
            # The broker is about to: nothing more must go that way.
            session.abort(str(error))
            if job.tries < MAX_TRIES and self._put_first(replace(job, tries=job.tries + 1)):
                return
        job.answer.finish(meaning(error, self._dialect))

    def _put_first(self, job: Job) -> bool:
        # Before what has come meanwhile: messages to one destination keep their order. Under the lock, as in _queue().
        with self._lock:
            if not self._closed:
                self._again.append(job)
            return not self._closed

    def _opened(self, session: Session, before: Session | None) -> None:
        if not self._has_clashed(before):
            # A broker that comes back empty, or another at its address, would confirm and drop the messages.
            self._names.forget()
        self._dialect = dialect_for(self._broker.kind, session.server)

    def _has_clashed(self, before: Session | None) -> bool:
        """Whether the session before ended because a queue exists with other properties: then it is there still."""
        reason = (before and before.close_reason) or ""
        return any(self._dialect.undeclared(destination, reason) for destination in self._names.others())

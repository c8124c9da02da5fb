"""The sending session of a broker: SENDs with receipts, many in flight, shared by whoever sends.

Kept apart from consuming sessions, since an alarm or a full store blocks whoever sends, ACKs included,
without a word (BROKERS.md 15). One thread per sender opens the session, writes, and watches the receipts;
a receipt that does not come in time ends the session, because all behind it wait as well.
"""

from __future__ import annotations

import logging
import math
import queue
import threading
import time
from collections import deque
from collections.abc import Mapping
from concurrent.futures import Future, wait
from dataclasses import dataclass, field, replace

from stompconsole.brokers import Dialect, dialect_for
from stompconsole.delivery.connecting import open_session
from stompconsole.delivery.specs import BrokerSpec
from stompconsole.errors import BrokerError, ConnectFailed, ReceiptTimeout, SessionClosed
from stompconsole.transport.session import Session

logger = logging.getLogger(__name__)

CONNECT_PAUSE_S = 1.0
"""After a failed connect, further sends fail with the same reason for this long instead of trying again."""

MAX_TRIES = 4
"""How often a message is sent on account of a queue that exists with other properties."""

RESPELT_FOR_S = 60.0
"""How long a queue that exists with other properties is taken to be there still: its other name declares nothing,
and RabbitMQ confirms what is sent to a queue that has been deleted, and drops it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Job:
    """One SEND, with its headers less those of the frame itself."""

    destination: str
    headers: dict[str, str]
    body: bytes
    done: Future[None] = field(default_factory=Future)
    tries: int = 1


class Sender:
    """Sends to one broker. Thread-safe; opens its session when it is first needed."""

    def __init__(self, broker: BrokerSpec) -> None:
        self._broker = broker
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._connecting = threading.Lock()
        self._session: Session | None = None
        self._dialect = Dialect()
        self._refused_until = 0.0
        self._refusal = ""
        self._awaited: deque[tuple[float, Session, Future[None]]] = deque()
        self._spellings: dict[str, tuple[str, float]] = {}
        self._thread: threading.Thread | None = None
        self._closed = False
        self._over = False

    def send(self, destination: str, headers: Mapping[str, str], body: bytes) -> Future[None]:
        """SEND with a receipt. The future is done when the broker has it, or fails with ConnectFailed,
        BrokerRefused, ReceiptTimeout or SessionClosed: then it may or may not have it, except on the first two.

        ``headers`` are complete but for destination and content-length; the latter is set right where it is
        given, and added for a body that holds a NUL.
        """
        job = _Job(destination=destination, headers=dict(headers), body=body)
        # Begun, as futures call it: nobody can cancel what the broker may have carried out.
        job.done.set_running_or_notify_cancel()
        if not self._queue(job):
            job.done.set_exception(SessionClosed(CLOSED))
        return job.done

    def _queue(self, job: _Job) -> bool:
        # Under the lock: behind the None of close() nobody would look at it any more.
        with self._lock:
            if self._closed:
                return False
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name=f"{self._broker.name} sender", daemon=True)
                self._thread.start()
            self._jobs.put(job)
            return True

    def dialect(self) -> Dialect:
        """The broker's dialect; connects if need be. Raises ConnectFailed."""
        self._open()
        return self._dialect

    def close(self, timeout_s: float) -> None:
        """Send what is queued, wait for receipts, DISCONNECT; at most ``timeout_s`` seconds."""
        deadline = time.monotonic() + timeout_s
        with self._lock:
            self._closed = True
            thread = self._thread
            self._jobs.put(None)
        if thread is not None:
            thread.join(timeout_s)
        with self._lock:
            self._over = True
            session = self._session
        if session is not None:
            session.disconnect(max(0.1, deadline - time.monotonic()))

    def _run(self) -> None:
        running = True
        while running or self._awaited:
            try:
                job = self._jobs.get(timeout=self._patience_s())
            except queue.Empty:
                self._expire()
                continue
            if job is None:
                running = False
            else:
                self._carry_out(job)
            self._expire()

    def _patience_s(self) -> float | None:
        self._forget_confirmed()
        if not self._awaited:
            return None if not self._closed else 0.0
        return max(0.0, self._awaited[0][0] - time.monotonic()) + 0.01

    def _expire(self) -> None:
        self._forget_confirmed()
        if self._awaited and self._awaited[0][0] < time.monotonic():
            limit_s = self._broker.receipt_timeout_s
            # Its own session, which need not be the newest.
            self._awaited[0][1].abort(f"{NOT_CONFIRMED}: no RECEIPT in {limit_s:g} s, it may be blocked or full")

    def _forget_confirmed(self) -> None:
        while self._awaited and self._awaited[0][2].done():
            self._awaited.popleft()

    def _carry_out(self, job: _Job) -> None:
        _, until = self._spellings.get(job.destination, ("", math.inf))
        if time.monotonic() < until:
            self._write(job)
            return
        # By its own name again, and alone: if the queue is there still, the clash ends the session.
        self._wait_for_receipts()
        del self._spellings[job.destination]
        self._write(job)
        self._wait_for_receipts()

    def _wait_for_receipts(self) -> None:
        wait([sent for _, _, sent in self._awaited], self._broker.receipt_timeout_s)

    def _write(self, job: _Job) -> None:
        try:
            session = self._open()
            sent = session.request("SEND", self._headers(job), job.body)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is this job's: the thread is everybody's
            job.done.set_exception(error)
            return
        self._awaited.append((time.monotonic() + self._broker.receipt_timeout_s, session, sent))
        sent.add_done_callback(lambda result: self._finish(job, result.exception()))

    def _headers(self, job: _Job) -> dict[str, str]:
        destination, _ = self._spellings.get(job.destination, (job.destination, 0.0))
        headers = {**job.headers, "destination": destination}
        if "content-length" in headers or b"\0" in job.body:
            headers["content-length"] = str(len(job.body))
        return headers

    def _finish(self, job: _Job, error: BaseException | None) -> None:
        """Runs on the io thread, or on whoever ends the session."""
        if self._closed:
            # The thread may be waiting for this receipt alone, to end.
            self._jobs.put(None)
        if error is None:
            job.done.set_result(None)
            return
        other = self._dialect.undeclared(job.destination, str(error))
        if other is not None:
            logger.warning("%s exists with other properties, sending to %s", job.destination, other)
            self._spellings[job.destination] = other, time.monotonic() + RESPELT_FOR_S
        # A second try may still have gone out on the session that a clash ends, and be told the same.
        if other is not None and job.tries < MAX_TRIES and self._queue(replace(job, tries=job.tries + 1)):
            return
        if NOT_CONFIRMED in str(error):
            job.done.set_exception(ReceiptTimeout(str(error)))
        else:
            job.done.set_exception(error)

    def _open(self) -> Session:
        with self._connecting:
            session = self._session
            if session is not None and session.close_reason is None:
                return session
            if self._over:
                raise ConnectFailed(CLOSED)
            if time.monotonic() < self._refused_until:
                raise ConnectFailed(self._refusal)
            try:
                session = open_session(self._broker)
            except ConnectFailed as error:
                self._refused_until = time.monotonic() + CONNECT_PAUSE_S
                self._refusal = str(error)
                raise
            self._adopt(session)
            return session

    def _adopt(self, session: Session) -> None:
        with self._lock:
            if not self._over:
                self._dialect = dialect_for(self._broker.kind, session.server)
                self._session = session
                return
        # close() has given up on us while we were connecting: nobody would end this session.
        session.abort(CLOSED)
        raise ConnectFailed(CLOSED)


CLOSED = "the sender is closed: the process is ending"
NOT_CONFIRMED = "the broker does not confirm"


class Senders:
    """One sender per broker definition, made when it is first asked for."""

    def __init__(self) -> None:
        self._senders: dict[BrokerSpec, Sender] = {}
        self._lock = threading.Lock()

    def of(self, broker: BrokerSpec) -> Sender:
        with self._lock:
            if broker not in self._senders:
                self._senders[broker] = Sender(broker)
            return self._senders[broker]

    def close(self, timeout_s: float) -> None:
        """Close them all; at most ``timeout_s`` seconds each."""
        with self._lock:
            senders, self._senders = list(self._senders.values()), {}
        for sender in senders:
            try:
                sender.close(timeout_s)
            except BrokerError as error:
                logger.info("closing a sender: %s", error)

"""A subscription kept alive: connect, subscribe, hand messages to work, reconnect, return to the primary, drain.

Threads: one of its own that goes through that life, one that connects for it, the pipeline's handler threads, one
alarm. The order of an end is the order of dependence: the session is left in order, and only then the threads end.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import CancelledError
from concurrent.futures import TimeoutError as FutureTimeout
from functools import partial

from stompconsole.brokers import Dialect, dialect_for
from stompconsole.delivery import naming
from stompconsole.delivery.ack_modes import settlement_for
from stompconsole.delivery.alarm import Alarm
from stompconsole.delivery.asking import Asking
from stompconsole.delivery.breaker import Phase
from stompconsole.delivery.connecting import Attempt, open_session
from stompconsole.delivery.gate import Gate
from stompconsole.delivery.leaving import DISCONNECT_TIMEOUT_S, leave
from stompconsole.delivery.observer import Observer
from stompconsole.delivery.pipeline import Pipeline, Work
from stompconsole.delivery.settlement import Delivery, Settlement
from stompconsole.delivery.specs import AckMode, SubscriptionSpec, SubscriptionState
from stompconsole.delivery.status import RunnerStatus, joined
from stompconsole.delivery.watching import WATCHES
from stompconsole.errors import BrokerError, BrokerRefused, ConnectFailed, LoginRefused, StompConsoleError
from stompconsole.transport.frames import Frame
from stompconsole.transport.session import Session

logger = logging.getLogger(__name__)

FIRST_PAUSE_S = 0.5
STABLE_S = 30.0
"""A session that lasted this long starts the next back-off from the beginning."""

ACKS_PER_WRITE = 32


class SubscriptionRunner:
    """One subscription over all its sessions. ``start`` it once; ``drain`` or ``abort`` it, then ``join``."""

    def __init__(
        self, subscription: SubscriptionSpec, work: Work, observer: Observer, gate: Gate | None = None
    ) -> None:
        self._spec = subscription
        self._work = work
        self._observer = observer
        self._gate = gate or Gate()
        self._pipeline = Pipeline(subscription.name, work, threads=subscription.threads, batch=subscription.batch)
        self._alarm = Alarm(f"{subscription.name} alarm")
        self._thread = threading.Thread(target=self._run, name=f"{subscription.name} subscription", daemon=True)
        self._wake = threading.Event()
        self._lock = threading.Lock()
        self._draining = False
        self._abort_reason: str | None = None
        self._session: Session | None = None
        self._returning: Session | None = None
        self._settlement: Settlement | None = None
        self._state = SubscriptionState.STARTING
        self._reason = ""
        self._asking = Asking(subscription)
        self._refusals = 0
        self._keeps_all = subscription.ack_mode is AckMode.AUTO

    @property
    def status(self) -> RunnerStatus:
        session, settlement = self._session, self._settlement
        open_ = session is not None and session.close_reason is None
        return RunnerStatus(
            state=self._state,
            reason=joined(self._reason, self._breaker(), self._trouble()),
            endpoint=str(session.endpoint) if session is not None and open_ else "",
            server=session.server if session is not None and open_ else "",
            in_flight=settlement.in_flight if settlement is not None else 0,
            refusals=self._refusals,
        )

    @property
    def dialect(self) -> Dialect:
        """The dialect of the broker as it greeted us last; plain STOMP until then."""
        return self._pipeline.dialect

    def _trouble(self) -> str:
        return self._work.trouble if self._state in {SubscriptionState.RUNNING, SubscriptionState.DRAINING} else ""

    def _breaker(self) -> str:
        return self._gate.words if self._state is SubscriptionState.BACKING_OFF else ""

    def start(self) -> None:
        self._alarm.start()
        self._pipeline.start()
        self._thread.start()

    def drain(self) -> None:
        """Ask for an orderly end and return at once: what is in a handler finishes, the rest goes back."""
        with self._lock:
            self._draining = True
        self._wake.set()

    def abort(self, reason: str) -> None:
        """End now: the session is closed and nothing more is settled. Handlers that run are not waited for."""
        with self._lock:
            self._abort_reason = self._abort_reason or reason
            self._draining = True
            session = self._session
        if session is not None:
            session.abort(reason)
        self._wake.set()

    def try_now(self) -> None:
        """Do not wait out the back-off of an open breaker; of no effect on any other."""
        self._gate.hurry()
        self._wake.set()

    def join(self, timeout_s: float) -> bool:
        """Wait for the end; false if it took longer than ``timeout_s`` seconds."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def after(self, delay_s: float, action: Callable[[], None]) -> None:
        self._alarm.after(delay_s, action)

    def put(self, delivery: Delivery) -> None:
        if self._keeps_all or not self._draining:
            self._pipeline.put(delivery)

    def wake(self) -> None:
        self._wake.set()

    def _run(self) -> None:
        pause_s = first_s = min(FIRST_PAUSE_S, self._spec.broker.reconnect_pause_s)
        while self._wait_for_breaker():
            started, phase = time.monotonic(), self._gate.phase
            reason = self._live_and_tell()
            if self._draining:
                break
            if self._may_return() or self._gate.phase is not phase:
                continue
            if time.monotonic() - started > STABLE_S:
                pause_s = first_s
            self._change(SubscriptionState.BACKING_OFF, reason)
            self._pause(random.uniform(pause_s / 2, pause_s))  # noqa: S311 - jitter, not a secret
            pause_s = min(pause_s * 2, self._spec.broker.reconnect_pause_s)
        self._end()

    def _wait_for_breaker(self) -> bool:
        """Wait until a session is wanted: at once, but for an open breaker's. False when the end was asked for."""
        if self._gate.phase is Phase.OPEN:
            if self._state is not SubscriptionState.BACKING_OFF:
                self._change(SubscriptionState.BACKING_OFF, "")
            while not self._draining and (left_s := self._gate.due_in_s) > 0:
                self._wake.wait(left_s)
                self._wake.clear()
            self._gate.half_open()
        return not self._draining

    def _may_return(self) -> bool:
        """Whether the session was left for the primary, which is tried without a pause: it has let somebody in."""
        # Not simply whether it is set: it may have been told late, of a session before.
        if self._returning is None or self._returning is not self._session:
            return False
        self._change(SubscriptionState.STARTING, self._towards())
        self._returning = None
        return True

    def _towards(self) -> str:
        return f"returning to {self._spec.broker.endpoints[0]}" if self._returning else ""

    def _return(self, session: Session) -> None:
        """The primary is back. Called on the watch's thread."""
        self._returning = session
        self._wake.set()

    def _pause(self, seconds: float) -> None:
        # The end of the session before may be told only now: nothing but a drain shortens a pause.
        deadline = time.monotonic() + seconds
        while not self._draining and (left_s := deadline - time.monotonic()) > 0:
            self._wake.wait(left_s)
            self._wake.clear()

    def _live_and_tell(self) -> str:
        try:
            return self._live_one_session()
        except Exception as error:  # a bug of ours must not end the subscription without a word
            logger.exception("%s failed", self._spec.name)
            return f"internal error: {error!r}"

    def _end(self) -> None:
        self._alarm.stop()
        # A handler that still runs after an abort is a daemon's: it can settle nothing any more.
        self._pipeline.stop(timeout_s=0.0 if self._abort_reason else DISCONNECT_TIMEOUT_S)
        self._change(SubscriptionState.STOPPED, self._abort_reason or "")

    def _live_one_session(self) -> str:
        """One session from connect to its end; says why it ended."""
        try:
            session = self._connect()
        except ConnectFailed as error:
            self._refusals += isinstance(error, LoginRefused)
            return str(error)
        if session is None or not self._adopt(session):
            return ""
        session.on_close(lambda _: self._wake.set())
        WATCHES.wait(self._spec.broker, session, lambda: self._return(session))
        try:
            return self._serve(session)
        finally:
            session.abort("the subscription is over")
            if not self._keeps_all:
                # It is the broker's again; kept, it would pile up behind a handler that takes long.
                self._pipeline.empty()

    def _connect(self) -> Session | None:
        """A session, or None when the end was asked for meanwhile. Raises ConnectFailed."""

        def wanted() -> bool:
            return not self._draining

        client_id = naming.client_id(self._spec)
        connect = partial(open_session, self._spec.broker, client_id=client_id, wanted=wanted)
        return Attempt(self._spec.name, connect, self._wake).take(wanted)

    def _adopt(self, session: Session) -> bool:
        # Under the lock: an abort that comes while connecting must find either no session or this one.
        with self._lock:
            if not self._draining:
                self._session = session
                return True
        session.abort(self._abort_reason or "draining")
        return False

    def _serve(self, session: Session) -> str:
        dialect = dialect_for(self._spec.broker.kind, session.server)
        self._pipeline.dialect = dialect
        settlement = settlement_for(
            self._spec.ack_mode, session, self._spec.destination, limit=self._limit(), around=self
        )
        self._settlement = settlement
        forgets = dialect.forgets(self._asking.wanted)
        breakerless = self._gate.begin(settlement, self.put, mode=self._spec.ack_mode, forgets=forgets)
        phase = self._gate.phase
        session.on_close(lambda _: settlement.ended())
        subscription_id = naming.subscription_id(self._spec)
        try:
            self._subscribe(session, dialect, settlement, subscription_id)
        except (BrokerError, FutureTimeout, CancelledError) as error:
            self._refusals += isinstance(error, BrokerRefused)
            return self._asking.refused(dialect, session.close_reason or str(error) or "no RECEIPT for SUBSCRIBE")
        except StompConsoleError as error:
            self._refusals += 1
            return str(error)
        self._refusals = 0
        state = SubscriptionState.RUNNING if phase is Phase.CLOSED else SubscriptionState.BACKING_OFF
        self._change(state, joined(self._asking.stands_in(session), self._asking.remark, breakerless))
        while not (session.close_reason or settlement.failure or self._draining or self._returning is session):
            self._wake.wait()
            self._wake.clear()
        if session.close_reason is None:
            self._change(self._leaving(phase), self._towards())
            leave(session, self._spec.ack_mode, subscription_id, settlement, self._pipeline)
        return settlement.failure or session.close_reason or ""

    def _leaving(self, phase: Phase) -> SubscriptionState:
        if self._draining or self._gate.phase is phase:
            return SubscriptionState.DRAINING
        return SubscriptionState.STARTING if self._gate.phase is Phase.CLOSED else SubscriptionState.BACKING_OFF

    def _limit(self) -> int:
        # Never more than a quarter of what is out: a broker that waits for our ACKs must not wait for more work.
        return max(1, min(ACKS_PER_WRITE, self._spec.prefetch // 4))

    def _subscribe(self, session: Session, dialect: Dialect, settlement: Settlement, subscription_id: str) -> None:
        arrived, put, ack_header = settlement.arrived, self._pipeline.put, dialect.ack_header
        admits = self._gate.admits

        def sink(message: Frame) -> None:
            delivery = Delivery(settlement, message.headers, message.body, ack_header=ack_header)
            arrived(delivery)
            # While draining nothing new is begun: un-acked, it goes back at UNSUBSCRIBE. In auto mode nothing does.
            if (not self._draining or self._keeps_all) and admits(delivery):
                put(delivery)

        prefetch = 1 if self._gate.phase is Phase.HALF_OPEN else self._spec.prefetch
        self._asking.ask(session, dialect, subscription_id, prefetch, sink)

    def _change(self, state: SubscriptionState, reason: str) -> None:
        self._state, self._reason = state, reason
        reason = joined(reason, self._breaker())
        self._observer.changed(state, reason)
        log = logger.warning if state is SubscriptionState.BACKING_OFF else logger.info
        log("%s is %s%s", self._spec.name, state.value, f": {reason}" if reason else "")

"""A subscription kept alive: connect, subscribe, hand messages to work, reconnect, drain.

Threads: one of its own that goes through that life, the pipeline's handler threads, one alarm. The order of an
end is the order of dependence: intake stops, handlers finish, ACKs are flushed, UNSUBSCRIBE, DISCONNECT, and only
then the threads. Finishing first matters: RabbitMQ refuses an ACK after UNSUBSCRIBE, ActiveMQ ignores it.
"""

from __future__ import annotations

import itertools
import logging
import random
import threading
import time
import uuid
from collections.abc import Callable
from concurrent.futures import CancelledError
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import dataclass

from stompconsole.brokers import Dialect, Wanted, dialect_for
from stompconsole.delivery.alarm import Alarm
from stompconsole.delivery.connecting import open_session
from stompconsole.delivery.observer import Observer
from stompconsole.delivery.pipeline import Pipeline, Work
from stompconsole.delivery.settlement import Delivery, Settlement, settlement_for
from stompconsole.delivery.specs import AckMode, SubscriptionSpec, SubscriptionState
from stompconsole.errors import BrokerError, ConnectFailed, StompConsoleError
from stompconsole.transport.frames import Frame
from stompconsole.transport.session import Session

logger = logging.getLogger(__name__)

FIRST_PAUSE_S = 0.5
STABLE_S = 30.0
"""A session that lasted this long starts the next back-off from the beginning."""

ACKS_PER_WRITE = 32
UNSUBSCRIBE_TIMEOUT_S = 2.0
DISCONNECT_TIMEOUT_S = 2.0
FINISH_TIMEOUT_S = 86_400.0
"""Draining itself has no limit but this: whoever drains sets one and aborts."""

_ids = itertools.count(1)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunnerStatus:
    """What a runner is doing now. ``in_flight`` counts messages handed to us and not settled."""

    state: SubscriptionState
    reason: str = ""
    endpoint: str = ""
    server: str = ""
    in_flight: int = 0


class SubscriptionRunner:
    """One subscription over all its sessions. ``start`` it once; ``drain`` or ``abort`` it, then ``join``."""

    def __init__(self, subscription: SubscriptionSpec, work: Work, observer: Observer) -> None:
        self._spec = subscription
        self._work = work
        self._observer = observer
        self._pipeline = Pipeline(subscription.name, work, threads=subscription.threads, batch=subscription.batch)
        self._alarm = Alarm(f"{subscription.name} alarm")
        self._thread = threading.Thread(target=self._run, name=f"{subscription.name} subscription", daemon=True)
        self._wake = threading.Event()
        self._lock = threading.Lock()
        self._draining = False
        self._abort_reason: str | None = None
        self._session: Session | None = None
        self._settlement: Settlement | None = None
        self._state = SubscriptionState.STARTING
        self._reason = ""
        self._destination = subscription.destination
        self._keeps_all = subscription.ack_mode is AckMode.AUTO

    @property
    def status(self) -> RunnerStatus:
        session, settlement = self._session, self._settlement
        open_ = session is not None and session.close_reason is None
        return RunnerStatus(
            state=self._state,
            reason="; ".join(filter(None, (self._reason, self._trouble()))),
            endpoint=str(session.endpoint) if session is not None and open_ else "",
            server=session.server if session is not None and open_ else "",
            in_flight=settlement.in_flight if settlement is not None else 0,
        )

    def _trouble(self) -> str:
        return self._work.trouble if self._state in {SubscriptionState.RUNNING, SubscriptionState.DRAINING} else ""

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

    def join(self, timeout_s: float) -> bool:
        """Wait for the end; false if it took longer than ``timeout_s`` seconds."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def after(self, delay_s: float, action: Callable[[], None]) -> None:
        self._alarm.after(delay_s, action)

    def put(self, delivery: Delivery) -> None:
        if self._keeps_all or not self._draining:
            self._pipeline.put(delivery)

    def _run(self) -> None:
        pause_s = first_s = min(FIRST_PAUSE_S, self._spec.broker.reconnect_pause_s)
        while not self._draining:
            started = time.monotonic()
            reason = self._live_and_tell()
            if self._draining:
                break
            if time.monotonic() - started > STABLE_S:
                pause_s = first_s
            self._change(SubscriptionState.BACKING_OFF, reason)
            self._pause(random.uniform(pause_s / 2, pause_s))  # noqa: S311 - jitter, not a secret
            pause_s = min(pause_s * 2, self._spec.broker.reconnect_pause_s)
        self._end()

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
            session = open_session(self._spec.broker, client_id=self._client_id())
        except ConnectFailed as error:
            return str(error)
        if not self._adopt(session):
            session.abort(self._abort_reason or "draining")
            return ""
        session.on_close(lambda _: self._wake.set())
        try:
            return self._serve(session)
        finally:
            session.abort("the subscription is over")
            if not self._keeps_all:
                # It is the broker's again; kept, it would pile up behind a handler that takes long.
                self._pipeline.empty()

    def _adopt(self, session: Session) -> bool:
        # Under the lock: an abort that comes while connecting must find either no session or this one.
        with self._lock:
            if self._draining:
                return False
            self._session = session
            return True

    def _serve(self, session: Session) -> str:
        dialect = dialect_for(self._spec.broker.kind, session.server)
        self._pipeline.dialect = dialect
        settlement = settlement_for(
            self._spec.ack_mode, session, self._spec.destination, limit=self._limit(), around=self
        )
        self._settlement = settlement
        session.on_close(lambda _: settlement.ended())
        subscription_id = self._subscription_id()
        try:
            self._subscribe(session, dialect, settlement, subscription_id)
        except (BrokerError, FutureTimeout, CancelledError) as error:
            return self._refused(dialect, session.close_reason or str(error) or "no RECEIPT for SUBSCRIBE")
        except StompConsoleError as error:
            return str(error)
        self._change(SubscriptionState.RUNNING, self._respelt())
        while session.close_reason is None and not self._draining:
            self._wake.wait()
            self._wake.clear()
        if session.close_reason is None:
            self._drain(session, settlement, subscription_id)
        return session.close_reason or ""

    def _limit(self) -> int:
        # Never more than a quarter of what is out: a broker that waits for our ACKs must not wait for more work.
        return max(1, min(ACKS_PER_WRITE, self._spec.prefetch // 4))

    def _subscribe(self, session: Session, dialect: Dialect, settlement: Settlement, subscription_id: str) -> None:
        arrived, put = settlement.arrived, self._pipeline.put

        def sink(message: Frame) -> None:
            delivery = Delivery(settlement, message.headers, message.body)
            arrived(delivery)
            # While draining nothing new is begun: un-acked, it goes back at UNSUBSCRIBE. In auto mode nothing does.
            if not self._draining or self._keeps_all:
                put(delivery)

        frame = dialect.subscribe(self._wanted())
        headers = {**frame.headers, **dict(self._spec.headers)}
        subscribed = session.subscribe(subscription_id, frame.destination, self._spec.ack_mode, headers, sink)
        subscribed.result(self._spec.broker.receipt_timeout_s)

    def _wanted(self) -> Wanted:
        return Wanted(
            destination=self._destination,
            prefetch=self._spec.prefetch,
            subscriber=self._spec.subscriber,
            exclusive=self._spec.exclusive,
        )

    def _client_id(self) -> str:
        """For brokers that know a durable subscriber by it; else only a name, which no two connections share."""
        given = self._spec.client_id
        return self._spec.subscriber or (f"{given}-{uuid.uuid4().hex}-listener" if given else "")

    def _subscription_id(self) -> str:
        given = self._spec.subscription_id
        return f"{given}-listener" if given else f"stompconsole-{next(_ids)}"

    def _refused(self, dialect: Dialect, reason: str) -> str:
        # Back to its own spelling if the other was refused: it declares a queue that was deleted meanwhile.
        self._destination = dialect.undeclared(self._destination, reason) or self._spec.destination
        return f"SUBSCRIBE {self._spec.destination}: {reason}"

    def _respelt(self) -> str:
        if self._destination == self._spec.destination:
            return ""
        return f"{self._spec.destination} was declared by someone else: used as {self._destination}"

    def _drain(self, session: Session, settlement: Settlement, subscription_id: str) -> None:
        self._change(SubscriptionState.DRAINING, "")
        if self._keeps_all:
            self._unsubscribe(session, subscription_id)
            settlement.wait_idle(FINISH_TIMEOUT_S)
        else:
            settlement.drain()
            self._pipeline.empty()
            settlement.wait_idle(FINISH_TIMEOUT_S)
            settlement.flush()
            self._unsubscribe(session, subscription_id)
        session.disconnect(DISCONNECT_TIMEOUT_S)

    def _unsubscribe(self, session: Session, subscription_id: str) -> None:
        try:
            session.unsubscribe(subscription_id, {}).result(UNSUBSCRIBE_TIMEOUT_S)
        except (BrokerError, FutureTimeout) as error:
            logger.info("UNSUBSCRIBE of %s was not confirmed: %s", self._spec.destination, error or "no RECEIPT")

    def _change(self, state: SubscriptionState, reason: str) -> None:
        self._state, self._reason = state, reason
        self._observer.changed(state, reason)
        log = logger.warning if state is SubscriptionState.BACKING_OFF else logger.info
        log("%s is %s%s", self._spec.name, state.value, f": {reason}" if reason else "")

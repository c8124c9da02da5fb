"""What runners are made of in a Django process: handlers and captures with their database connections looked after."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from stompconsole.brokers import Dialect
from stompconsole.deadletters.capture import capture_work
from stompconsole.deadletters.holding import Holder
from stompconsole.delivery.gate import Gate
from stompconsole.delivery.handling import HandlerWork
from stompconsole.delivery.observer import Observer
from stompconsole.delivery.payload import Handler
from stompconsole.delivery.pipeline import Work
from stompconsole.delivery.runner import SubscriptionRunner
from stompconsole.delivery.sampling import Sampler
from stompconsole.delivery.senders import Senders
from stompconsole.delivery.settlement import Delivery
from stompconsole.delivery.specs import ConsumerSpec, consume_spec
from stompconsole.worker.connections import ConnectedLoops, ConnectedWork, with_fresh_connections
from stompconsole.worker.definitions import Handlers
from stompconsole.worker.samplers import Samplers
from stompconsole.worker.wanted import CaptureSpec, RunSpec, SlotKey


class Runners:
    """Makes the runner of a slot. Without ``samplers`` nothing is sampled."""

    def __init__(
        self,
        handlers: Handlers,
        senders: Senders,
        worker_name: str,
        breaker_told: Callable[[SlotKey, str], None],
        samplers: Samplers | None = None,
    ) -> None:
        self._handlers = handlers
        self._senders = senders
        self._worker_name = worker_name
        self._breaker_told = breaker_told
        self._samplers = samplers

    def make(self, key: SlotKey, spec: RunSpec, observer: Observer) -> SubscriptionRunner:
        """A runner, not started. Raises HandlerNotFound."""
        match spec:
            case ConsumerSpec():
                handler = self._handlers.resolve(spec.handler)
                gate = Gate(spec.breaker, partial(self._breaker_told, key))
                sampler = self._samplers.of(key.consumer_id) if self._samplers is not None else None
                made_with = (spec, handler, self._senders, self._worker_name, observer)
                work = handler_work(*made_with, gate=gate, sampler=sampler)
                return SubscriptionRunner(consume_spec(spec), work, observer, gate)
            case CaptureSpec(consumer_name=name, subscription=subscription):
                holder = Holder(self._senders, subscription.broker, subscription.destination)
                capture = capture_work(key.consumer_id, name, subscription.destination, holder)
                return SubscriptionRunner(subscription, _Counted(capture, observer), observer)


def handler_work(
    spec: ConsumerSpec,
    handler: Handler,
    senders: Senders,
    worker_name: str,
    observer: Observer,
    *,
    gate: Gate | None = None,
    sampler: Sampler | None = None,
) -> Work:
    """The work of a handler that may use Django's databases: CONN_MAX_AGE holds, and a lost connection
    costs one message. Each handler thread gives its connections back when it ends.
    """
    fresh = with_fresh_connections(handler)
    loops = ConnectedLoops()
    work = HandlerWork(spec, fresh, senders, worker_name, observer, loops=loops, gate=gate, sampler=sampler)
    return ConnectedWork(work)


class _Counted:
    """Counts what is captured: capturing itself tells nobody."""

    def __init__(self, work: Work, observer: Observer) -> None:
        self._work = work
        self._observer = observer

    @property
    def trouble(self) -> str:
        return self._work.trouble

    def process(self, batch: Sequence[Delivery], dialect: Dialect) -> None:
        self._observer.received(len(batch))
        self._work.process(batch, dialect)
        self._observer.handled(acked=len(batch), retried=0, dead_lettered=0, seconds=())

    def close(self) -> None:
        self._work.close()

"""What runners are made of in a Django process: handlers and captures with their database connections looked after."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from django.db import Error, close_old_connections, connections

from stompconsole.brokers import Dialect
from stompconsole.deadletters.capture import capture_work
from stompconsole.delivery.handling import HandlerWork
from stompconsole.delivery.observer import Observer
from stompconsole.delivery.payload import Handler, Payload
from stompconsole.delivery.pipeline import Work
from stompconsole.delivery.runner import SubscriptionRunner
from stompconsole.delivery.sender import Senders
from stompconsole.delivery.settlement import Delivery
from stompconsole.delivery.specs import ConsumerSpec, consume_spec
from stompconsole.worker.definitions import Handlers
from stompconsole.worker.wanted import CaptureSpec, RunSpec, SlotKey


class Runners:
    """Makes the runner of a slot."""

    def __init__(self, handlers: Handlers, senders: Senders, worker_name: str) -> None:
        self._handlers = handlers
        self._senders = senders
        self._worker_name = worker_name

    def make(self, key: SlotKey, spec: RunSpec, observer: Observer) -> SubscriptionRunner:
        """A runner, not started. Raises HandlerNotFound."""
        match spec:
            case ConsumerSpec():
                handler = self._handlers.resolve(spec.handler)
                work = handler_work(spec, handler, self._senders, self._worker_name, observer)
                return SubscriptionRunner(consume_spec(spec), work, observer)
            case CaptureSpec(consumer_name=name, subscription=subscription):
                capture = capture_work(key.consumer_id, name, subscription.destination)
                return SubscriptionRunner(subscription, _Counted(capture, observer), observer)


def handler_work(spec: ConsumerSpec, handler: Handler, senders: Senders, worker_name: str, observer: Observer) -> Work:
    """The work of a handler that may use Django's databases: CONN_MAX_AGE holds, and a lost connection
    costs one message. Each handler thread gives its connections back when it ends.
    """
    return _Connected(HandlerWork(spec, _with_fresh_connections(handler), senders, worker_name, observer))


def _with_fresh_connections(handler: Handler) -> Callable[[Payload], Any]:
    @functools.wraps(handler, assigned=(), updated=())
    def handle(payload: Payload) -> Any:
        close_old_connections()
        return handler(payload)

    return handle


class _Connected:
    """Gives the connections of a handler thread back after each batch and at its end."""

    def __init__(self, work: Work) -> None:
        self._work = work

    @property
    def trouble(self) -> str:
        return self._work.trouble

    def process(self, batch: Sequence[Delivery], dialect: Dialect) -> None:
        try:
            self._work.process(batch, dialect)
        finally:
            close_old_connections()

    def close(self) -> None:
        self._work.close()
        for connection in connections.all(initialized_only=True):
            with suppress(Error):
                connection.close()


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

"""``pubsub DESTINATION HANDLER``: one destination and one handler in the foreground, as django-stomp had it.

No rows, no database: the broker is the one that the STOMP_* settings describe.
"""

from __future__ import annotations

import os
import socket
import threading
import uuid
from argparse import ArgumentParser
from collections.abc import Callable
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from stompconsole import handlers
from stompconsole.conf import StompSettings, settings_now
from stompconsole.delivery.observer import SilentObserver
from stompconsole.delivery.payload import Payload
from stompconsole.delivery.runner import SubscriptionRunner
from stompconsole.delivery.sender import Senders
from stompconsole.delivery.specs import ConsumerSpec, SubscriptionState, consume_spec
from stompconsole.errors import ConfigurationError
from stompconsole.models import default_broker
from stompconsole.worker.signals import StopSignals
from stompconsole.worker.works import handler_work

PREFETCH_PER_THREAD = 10
"""Enough to keep a thread busy; few enough that several ``pubsub`` of one queue share its messages."""

END_LIMIT_S = 5.0
SENDERS_LIMIT_S = 2.0
LOOK_EVERY_S = 1.0


class Command(BaseCommand):
    """Consumes one destination until it is told to stop."""

    help = "Hands every message of DESTINATION to HANDLER, in the foreground, with the broker of the STOMP_* settings."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("source_destination", metavar="DESTINATION", help="As the broker names it: /queue/orders")
        parser.add_argument("callback_function", metavar="HANDLER", help="Its dotted path: orders.handlers.price_of")

    def handle(self, *args: Any, **options: Any) -> None:
        spec = _spec(options["source_destination"], options["callback_function"])
        senders = Senders()
        observer = _Printer(self._say)
        handler = _with_correlation_id(_handler(spec.handler))
        work = handler_work(spec, handler, senders, _name(), observer)
        runner = SubscriptionRunner(consume_spec(spec), work, observer)
        self._say(f"{spec.destination} goes to {spec.handler}. Ctrl-C ends it.")
        self._run(runner)
        senders.close(SENDERS_LIMIT_S)
        self._say("Ended.")

    def _run(self, runner: SubscriptionRunner) -> None:
        wait_s = settings_now().graceful_wait_s
        stop = threading.Event()
        with StopSignals(stop.set, limit_s=wait_s + 2 * END_LIMIT_S + SENDERS_LIMIT_S):
            runner.start()
            while not stop.wait(LOOK_EVERY_S):
                if runner.join(0):
                    raise CommandError("the subscription has ended by itself: see the log")
            runner.drain()
            if not runner.join(wait_s):
                self._say(f"A handler still runs after {wait_s:g} s: its message goes back to the broker.")
                runner.abort("the time for a graceful end is over")
                runner.join(END_LIMIT_S)

    def _say(self, text: str) -> None:
        self.stdout.write(text)
        self.stdout.flush()


class _Printer(SilentObserver):
    """Tells what the subscription is doing."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say

    def changed(self, state: SubscriptionState, reason: str) -> None:
        self._say(f"{state.value}: {reason}" if reason else state.value)


def _spec(destination: str, handler: str) -> ConsumerSpec:
    if not destination:
        raise CommandError("DESTINATION is empty; it is a name such as /queue/orders.")
    try:
        stomp = settings_now().stomp
    except ConfigurationError as error:
        raise CommandError(str(error)) from error
    if stomp is None:
        raise CommandError("STOMP_SERVER_HOST is not set: pubsub needs to know where the broker is.")
    threads = _threads(stomp)
    return ConsumerSpec(
        name="pubsub",
        broker=default_broker.from_settings(stomp).spec(),
        destination=destination,
        handler=handler,
        threads=threads,
        prefetch=threads * PREFETCH_PER_THREAD,
        correlation_id_required=stomp.correlation_id_required,
    )


def _threads(stomp: StompSettings) -> int:
    return (stomp.process_workers or 1) if stomp.process_on_background else 1


def _handler(path: str) -> handlers.Handler:
    try:
        return handlers.import_any(path)
    except ConfigurationError as error:
        raise CommandError(f"HANDLER {path}: {error}") from error


def _with_correlation_id(handler: handlers.Handler) -> handlers.Handler:
    """As django-stomp did it: where none is required, one is made up for a message that has none."""

    def handle(payload: Payload) -> Any:
        payload.headers.setdefault("correlation-id", str(uuid.uuid4()))
        return handler(payload)

    return handle


def _name() -> str:
    return f"{socket.gethostname()}:{os.getpid()}"

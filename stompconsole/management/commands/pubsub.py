"""``pubsub DESTINATION HANDLER``: one destination and one handler in the foreground, as django-stomp had it.

No rows, no database: broker and subscription are what the STOMP_* settings describe.
"""

from __future__ import annotations

import os
import socket
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from stompconsole import handlers
from stompconsole.conf import doubts
from stompconsole.delivery.pipeline import Work
from stompconsole.delivery.runner import SubscriptionRunner
from stompconsole.delivery.senders import Senders
from stompconsole.delivery.specs import ConsumerSpec, consume_spec
from stompconsole.delivery.status import RunnerStatus
from stompconsole.errors import ConfigurationError
from stompconsole.management import arguments
from stompconsole.management.console import Console
from stompconsole.management.foreground import SENDERS_LIMIT_S, ForegroundCommand
from stompconsole.management.news import Change
from stompconsole.models import default_broker, default_consumer
from stompconsole.worker.works import handler_work

NAME = "pubsub"


class Command(ForegroundCommand):
    """Consumes one destination until it is told to stop."""

    help = "Hands every message of DESTINATION to HANDLER, in the foreground, with the broker of the STOMP_* settings."

    def add_arguments(self, parser: ArgumentParser) -> None:
        arguments.add_argument(
            parser, "source_destination", metavar="DESTINATION", help="As the broker names it: /queue/orders"
        )
        arguments.add_argument(
            parser, "callback_function", metavar="HANDLER", help="Its dotted path: orders.handlers.price_of"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        with self.in_foreground() as console:
            spec = _spec(
                arguments.source(options, "source_destination", "DESTINATION"),
                arguments.given(options, "callback_function", "HANDLER"),
            )
            handler = _handler(spec.handler)
            for doubt in doubts():
                console.say(f"Settings: {doubt}")
            console.say(f"{spec.destination} goes to {spec.handler}. Ctrl-C ends it.")
            self._consume(spec, handler, console)
            console.say("Ended.")

    def _consume(self, spec: ConsumerSpec, handler: handlers.Handler, console: Console) -> None:
        senders = Senders()
        work = handler_work(spec, handler, senders, _name(), self.news)
        runner = SubscriptionRunner(consume_spec(spec), work, self.news)
        try:
            self.hold(runner, _Consuming(spec.destination, runner, work), console)
        finally:
            senders.close(SENDERS_LIMIT_S)


class _Consuming:
    """The errand: for ever, unless the broker can't have a destination of that name. See ``foreground.Errand``."""

    progress = ""

    def __init__(self, destination: str, runner: SubscriptionRunner, work: Work) -> None:
        self._destination = destination
        self._runner = runner
        self._work = work

    @property
    def trouble(self) -> str:
        return self._work.trouble

    def is_over(self, status: RunnerStatus) -> bool:
        if reason := self._runner.dialect.refuses(self._destination):
            raise CommandError(f"{self._destination}: {reason}")
        return False

    def noticed(self, change: Change) -> None:
        return

    def stop(self) -> None:
        return


def _spec(destination: str, handler: str) -> ConsumerSpec:
    stomp = arguments.stomp_settings(NAME)
    broker = default_broker.from_settings(stomp)
    row = default_consumer.from_settings(stomp, name=NAME, broker=broker, destination=destination, handler=handler)
    return row.spec()


def _handler(path: str) -> handlers.Handler:
    try:
        return handlers.import_any(path)
    except ConfigurationError as error:
        raise CommandError(f"HANDLER {path}: {error}") from error


def _name() -> str:
    return f"{socket.gethostname()}:{os.getpid()}"

"""``move_messages SOURCE TARGET [HOST PORT]``: moves messages, of the broker at HOST and PORT if these are given.

Each is sent with a receipt and acknowledged only when that is there: killed at any moment, it loses none, and may leave
some in both places. A dead letter that goes to another queue of dead letters, ``DLQ.…``, keeps the headers that say
why it died; one that goes anywhere else becomes the message it was before, so that nobody takes it for a replay.
"""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from stompconsole.delivery.moving import MoveWork
from stompconsole.delivery.senders import Senders
from stompconsole.delivery.specs import BrokerSpec
from stompconsole.management import arguments
from stompconsole.management.arguments import HOST, PORT
from stompconsole.management.foreground import SENDERS_LIMIT_S
from stompconsole.management.taking import TakingCommand, order

NAME = "move_messages"
PASSED_ON = ("/topic/", "/exchange/")


class Command(TakingCommand):
    """Moves messages from one destination to another."""

    help = "Moves every message of SOURCE to TARGET, until it is told to stop. None is lost."
    verb = "moved"

    def add_arguments(self, parser: ArgumentParser) -> None:
        arguments.add_argument(parser, "source_destination", metavar="SOURCE", help="Where from: /queue/DLQ.orders")
        arguments.add_argument(parser, "target_destination", metavar="TARGET", help="Where to: /queue/orders")
        parser.add_argument(HOST, metavar="HOST", nargs="?", help="The host of the source's broker, if it is another.")
        parser.add_argument(
            PORT, metavar="PORT", nargs="?", type=int, help="Its STOMP port. Login and TLS are the same."
        )
        super().add_arguments(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        with self.in_foreground() as console:
            source = arguments.source(options, "source_destination", "SOURCE")
            target = arguments.target(options, "target_destination", "TARGET")
            broker = arguments.broker(options, NAME)
            source_broker = arguments.elsewhere(broker, options.get(HOST), options.get(PORT))
            _check_way(source_broker, source, broker, target)
            if target.startswith(PASSED_ON):
                console.say(f"{target} keeps nothing itself: who does not listen, or has no queue there, gets nothing.")
            senders = Senders()
            console.say(f"{source} at {source_broker.endpoints[0]} goes to {target} at {broker.endpoints[0]}.")
            try:
                self.take(
                    order(options, source_broker, source),
                    lambda quota: MoveWork(senders.of(broker), broker, target, quota, self.news.wake),
                    f"from {source} to {target}",
                    console,
                )
            finally:
                senders.close(SENDERS_LIMIT_S)


def _check_way(source_broker: BrokerSpec, source: str, target_broker: BrokerSpec, target: str) -> None:
    if _name(source) == _name(target) and arguments.is_same_place(source_broker, target_broker):
        raise CommandError(f"{source} can't be moved to itself: each message would come again, for ever.")


def _name(destination: str) -> str:
    """A queue by any of its spellings; a topic by its own."""
    return destination.partition("?")[0].removeprefix("/amq").removeprefix("/queue/").removeprefix("queue/")

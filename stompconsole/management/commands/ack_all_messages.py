"""``ack_all_messages DESTINATION``: empties a destination. What it takes is gone; django-stomp had it like this."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from stompconsole.delivery.taking import AckWork
from stompconsole.management import arguments
from stompconsole.management.taking import TakingCommand, order

NAME = "ack_all_messages"


class Command(TakingCommand):
    """ACKs every message of a destination, and does nothing with it."""

    help = "Takes every message out of DESTINATION and throws it away, until it is told to stop."
    verb = "acknowledged"

    def add_arguments(self, parser: ArgumentParser) -> None:
        arguments.add_argument(
            parser, "destination_to_clean", metavar="DESTINATION", help="As the broker names it: /queue/DLQ.orders"
        )
        super().add_arguments(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        with self.in_foreground() as console:
            source = arguments.source(options, "destination_to_clean", "DESTINATION")
            broker = arguments.broker(options, NAME)
            console.say(f"What is in {source} is thrown away. Ctrl-C ends it.")
            self.take(order(options, broker, source), AckWork, f"of {source}", console)

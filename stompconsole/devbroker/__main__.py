"""``python -m stompconsole.devbroker``: run the development broker until SIGTERM or SIGINT. NOT FOR PRODUCTION."""

from __future__ import annotations

import argparse
import asyncio
import logging
import signal
import sys
from collections.abc import Sequence

from stompconsole.devbroker.broker import DevBroker
from stompconsole.devbroker.options import BrokerOptions
from stompconsole.errors import ConfigurationError

USAGE_ERROR = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run until told to end. The exit code: 0, or 2 for what can't work."""
    given = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    try:
        options = BrokerOptions(host=given.host, port=given.port, user=given.user, password=given.password)
        asyncio.run(_serve(DevBroker(options)))
    except ConfigurationError as error:
        print(f"devbroker: {error}", file=sys.stderr)
        return USAGE_ERROR
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m stompconsole.devbroker",
        description="A small STOMP broker for development. It is NOT FOR PRODUCTION: it keeps messages in memory, "
        "loses them when it ends, and listens on loopback addresses only.",
    )
    parser.add_argument("--host", default="127.0.0.1", help="a loopback address (default: %(default)s)")
    parser.add_argument("--port", type=int, default=61613, help="0 takes a free one (default: %(default)s)")
    parser.add_argument("--user", default="", help="who may log in (default: anybody)")
    parser.add_argument("--password", default="", help="the password of that user")
    return parser


async def _serve(broker: DevBroker) -> None:
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    # Before the port is open: whoever sees the start-up line may end the process at once.
    for signal_number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signal_number, ended.set)
    await broker.start()
    print(broker.greeting, flush=True)
    await ended.wait()
    await broker.stop()


if __name__ == "__main__":
    sys.exit(main())

"""The development broker in a thread of the test process, with a hand on it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from stompconsole.devbroker import BrokerOptions, DevBroker
from stompconsole.devbroker.broker import StoredMessage
from stompconsole.devbroker.faults import Faults
from stompconsole.devbroker.transcripts import Line
from tests.support.rawstomp import Headers, RawClient, connected

T = TypeVar("T")

START_TIMEOUT_S = 10.0


class RunningDevBroker:
    """A development broker that runs in its own thread and event loop. All methods may be called from any thread."""

    def __init__(self, options: BrokerOptions) -> None:
        self.broker = DevBroker(options)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="devbroker", daemon=True)
        self._thread.start()

    @property
    def host(self) -> str:
        return self.broker.host

    @property
    def port(self) -> int:
        """The port it listens on; the same after ``restart``, and after ``stop`` and ``start``."""
        return self.broker.port

    @property
    def faults(self) -> Faults:
        return self.broker.faults

    def start(self) -> None:
        """Listen, on the same port as before; persistent and other messages are still there."""
        self._run(self.broker.start())

    def stop(self) -> None:
        """Close the port and every connection; messages stay."""
        self._run(self.broker.stop())

    def restart(self) -> None:
        """Close everything, forget what is not persistent, and listen on the same port."""
        self._run(self.broker.restart())

    def client(self, version: str = "1.2", headers: Headers = ()) -> RawClient:
        """A raw client that was let in."""
        return connected(self.host, self.port, version, headers)

    def send(self, destination: str, *bodies: bytes, headers: dict[str, str] | None = None) -> None:
        """Put messages in, without a client."""
        for body in bodies:
            self.broker.send(destination, body, headers)

    def destinations(self) -> list[str]:
        return self.broker.destinations()

    def depth(self, destination: str) -> int:
        return self.broker.depth(destination)

    def unacked(self, destination: str) -> int:
        return self.broker.unacked(destination)

    def subscriptions(self, destination: str) -> int:
        return self.broker.subscriptions(destination)

    def connections(self) -> int:
        return self.broker.connections()

    def messages(self, destination: str) -> list[StoredMessage]:
        return self.broker.messages(destination)

    def bodies(self, destination: str) -> list[bytes]:
        """The bodies of what is ready there, in order."""
        return [message.body for message in self.messages(destination)]

    def transcripts(self) -> dict[int, list[Line]]:
        return self.broker.transcripts()

    def close(self) -> None:
        """Stop, and end the thread."""
        try:
            self.stop()
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(START_TIMEOUT_S)
            self._loop.close()

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(START_TIMEOUT_S)


@contextmanager
def running_devbroker(**options: Any) -> Iterator[RunningDevBroker]:
    """Run a development broker on a free port. ``options`` are fields of BrokerOptions."""
    running = RunningDevBroker(BrokerOptions(**{"port": 0, **options}))
    try:
        running.start()
        yield running
    finally:
        running.close()

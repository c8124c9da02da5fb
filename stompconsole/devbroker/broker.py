"""The development broker: listens, holds the destinations, and lets tests look and meddle.

Owns the life of the server. NOT FOR PRODUCTION: in memory, loopback only.

``start``, ``stop`` and ``restart`` are awaited on the broker's event loop; all else may be called from any thread.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import uuid
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TypeVar

from stompconsole.devbroker.connection import Connection
from stompconsole.devbroker.faults import Faults, FaultState
from stompconsole.devbroker.frames import Frame
from stompconsole.devbroker.messages import Entry, from_send
from stompconsole.devbroker.options import BrokerOptions, loopback_address
from stompconsole.devbroker.session import Surroundings
from stompconsole.devbroker.store import Store, checked_destination
from stompconsole.devbroker.transcripts import Line, Transcripts
from stompconsole.errors import ConfigurationError

logger = logging.getLogger(__name__)

T = TypeVar("T")

CALL_TIMEOUT_S = 10.0
"""How long a call from another thread may take: the loop is blocked or gone if it takes longer."""
LISTEN_BACKLOG = 512
ACCEPTING_TURNS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredMessage:
    """A message as it waits at a destination. ``headers`` as on its MESSAGE frame, but for one delivery's own."""

    message_id: str
    headers: dict[str, str]
    body: bytes
    redelivered: bool


class DevBroker:
    """A STOMP broker in memory, for the demo and for tests."""

    def __init__(self, options: BrokerOptions | None = None) -> None:
        self.options = options or BrokerOptions()
        self.host = loopback_address(self.options.host)
        self._port = self.options.port
        self._loop: asyncio.AbstractEventLoop | None = None
        self._server: asyncio.Server | None = None
        self._connections: set[Connection] = set()
        self._numbers = itertools.count(1)
        self._surroundings = Surroundings(
            options=self.options,
            store=Store(self.options, uuid.uuid4().hex[:8], self._plan_pump),
            faults=FaultState(),
            transcripts=Transcripts(self.options.transcript_frames),
        )
        self.faults = Faults(self._surroundings.faults, self._connections, self.call)

    @property
    def port(self) -> int:
        """The port it listens on, or listened on last."""
        return self._port

    @property
    def address(self) -> str:
        """Host and port, as for people."""
        return f"[{self.host}]:{self._port}" if ":" in self.host else f"{self.host}:{self._port}"

    @property
    def greeting(self) -> str:
        """What is said at the start."""
        return f"Development broker on {self.address} (in memory, not for production)"

    async def start(self) -> None:
        """Listen, if it does not yet. Raises ConfigurationError when the port can't be had."""
        if self._server is not None:
            return
        loop = self._loop = asyncio.get_running_loop()
        try:
            self._server = await loop.create_server(self._connection, self.host, self._port, backlog=LISTEN_BACKLOG)
        except OSError as error:
            raise ConfigurationError(
                f"can't listen on {self.address}: {error.strerror or error}. Choose another port, or 0 for a free one"
            ) from error
        self._port = self._server.sockets[0].getsockname()[1]
        # What was put in before there was a loop has not been handed out.
        self._plan_pump()
        logger.info("%s", self.greeting)

    async def stop(self) -> None:
        """Stop listening and close every connection. Messages stay; what clients held goes back to its place."""
        if self._server is None:
            return
        server, self._server = self._server, None
        # Closed while it makes a connection that it has accepted, asyncio's server would leave that open, to nobody.
        for listener in server.sockets:
            asyncio.get_running_loop().remove_reader(listener.fileno())
        turns = itertools.count()
        # asyncio takes some turns from accepting a connection to making it, and from aborting it to losing it.
        while next(turns) < ACCEPTING_TURNS or self._connections:
            for connection in list(self._connections):
                connection.abort()
            await asyncio.sleep(0)
        server.close()

    async def restart(self) -> None:
        """Stop, forget what is not persistent, and start on the same port."""
        await self.stop()
        self._surroundings.store.forget_transient()
        await self.start()

    def call(self, function: Callable[[], T]) -> T:
        """Run a function on the broker's loop and give what it returns, from any thread."""
        loop = self._loop
        if loop is None or not loop.is_running() or loop is _running_loop():
            return function()
        future: Future[T] = Future()
        loop.call_soon_threadsafe(_settle, future, function)
        return future.result(CALL_TIMEOUT_S)

    def destinations(self) -> list[str]:
        """Queues with messages or subscriptions, topics with subscriptions."""
        return self.call(self._surroundings.store.destinations)

    def depth(self, destination: str) -> int:
        """How many messages are ready there; those that clients hold un-acked are not counted."""
        return self.call(lambda: sum(queue.depth for queue in self._surroundings.store.sources(destination)))

    def unacked(self, destination: str) -> int:
        """How many messages of it clients hold un-acked."""
        return self.call(lambda: sum(queue.unacked for queue in self._surroundings.store.sources(destination)))

    def subscriptions(self, destination: str) -> int:
        """How many subscriptions it has."""
        return self.call(
            lambda: sum(len(queue.subscriptions) for queue in self._surroundings.store.sources(destination))
        )

    def messages(self, destination: str) -> list[StoredMessage]:
        """What is ready there, in order; nothing is taken out."""
        return self.call(lambda: [_stored(entry) for entry in self._surroundings.store.ready(destination)])

    def connections(self) -> int:
        """How many connections are open."""
        return self.call(lambda: len(self._connections))

    def transcripts(self) -> dict[int, list[Line]]:
        """The frames of the latest connections, by number; empty unless ``transcript_frames`` is set."""
        return self.call(self._surroundings.transcripts.lines)

    def send(self, destination: str, body: bytes, headers: dict[str, str] | None = None) -> None:
        """Put a message in as a SEND would. Raises Refused, where that gets an ERROR."""
        self.call(lambda: self._send(Frame("SEND", {**(headers or {}), "destination": destination}, body)))

    def _send(self, frame: Frame) -> None:
        store = self._surroundings.store
        checked_destination(frame.headers["destination"])
        message = from_send(frame, store.next_message_id())
        store.check_room(message)
        store.send(message)

    def _connection(self) -> Connection:
        loop = asyncio.get_running_loop()
        return Connection(loop, next(self._numbers), self._surroundings, self._connections)

    def _plan_pump(self) -> None:
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon(self._surroundings.store.pump)


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def _settle(future: Future[T], function: Callable[[], T]) -> None:
    try:
        future.set_result(function())
    except BaseException as error:  # noqa: BLE001 - the caller, in its own thread, is who must hear of it
        future.set_exception(error)


def _stored(entry: Entry) -> StoredMessage:
    message = entry.message
    return StoredMessage(
        message_id=message.message_id,
        headers=message.common_headers(),
        body=message.body,
        redelivered=entry.redelivered,
    )

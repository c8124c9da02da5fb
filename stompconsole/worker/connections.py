"""The database connections of handlers: opened when needed, kept to CONN_MAX_AGE, replaced when unusable, closed with
their handler thread.

Those of a sync handler live in its handler thread. Those of an async handler live where ``sync_to_async``, and with it
Django's async ORM, runs what must stay in one thread: by default one thread for all handlers of the process, here one
for each handler thread. What runs in any thread, as ``asyncio.to_thread`` does, has to look after its own.
"""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import wraps
from typing import Any

from asgiref.sync import SyncToAsync, ThreadSensitiveContext, sync_to_async
from django.db import Error, close_old_connections, connections

from stompconsole.brokers import Dialect
from stompconsole.delivery.loops import Loops
from stompconsole.delivery.payload import Handler, Payload
from stompconsole.delivery.pipeline import Work
from stompconsole.delivery.settlement import Delivery


def with_fresh_connections(handler: Handler) -> Callable[[Payload], Any]:
    """The handler, called with no connection that is too old or unusable."""

    @wraps(handler, assigned=(), updated=())
    def handle(payload: Payload) -> Any:
        _close_old_connections()
        return handler(payload)

    return handle


class ConnectedWork:
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
            _close_old_connections()

    def close(self) -> None:
        self._work.close()
        _close_connections()


class ConnectedLoops(Loops):
    """Loops whose threads each have one more for what ``sync_to_async`` keeps in one thread, and look after its
    connections as ``ConnectedWork`` and ``with_fresh_connections`` do after their own."""

    def __init__(self) -> None:
        super().__init__()
        self._contexts = threading.local()

    async def _run(self, awaitable: Awaitable[object]) -> None:
        context = self._context()
        # Entered anew in the context of each message, and left in close() only: leaving ends its thread.
        await context.__aenter__()  # type: ignore[no-untyped-call]
        if _is_used(context):
            await sync_to_async(_close_old_connections)()
        await awaitable

    def rest(self) -> None:
        if _is_used(self._context()):
            self.run(_nothing())

    def close(self) -> None:
        if _is_used(self._context()):
            self.run(self._end())
        super().close()

    async def _end(self) -> None:
        async with self._context():
            await sync_to_async(_close_connections)()

    def _context(self) -> ThreadSensitiveContext:
        if not hasattr(self._contexts, "own"):
            self._contexts.own = ThreadSensitiveContext()
        context: ThreadSensitiveContext = self._contexts.own
        return context


def _is_used(context: ThreadSensitiveContext) -> bool:
    """Whether it has a thread: a hop to it for each message of a handler that asks no database would cost as much as
    the handler."""
    return context in SyncToAsync.context_to_thread_executor


def _close_old_connections() -> None:
    # One that can't even be closed is gone all the same: it must not cost the next message.
    with suppress(Error):
        close_old_connections()


def _close_connections() -> None:
    for connection in connections.all(initialized_only=True):
        with suppress(Error):
            connection.close()


async def _nothing() -> None:
    return

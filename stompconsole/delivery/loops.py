"""The event loops of async handlers: one for each handler thread that needs one, kept.

Making a loop costs more than most handlers, and what a handler keeps open, such as an HTTP client, belongs to its loop.
"""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Awaitable
from contextlib import suppress


class Loops:
    """Runs awaitables to their end, each in the loop of the thread that asks for it."""

    def __init__(self) -> None:
        self._local = threading.local()

    def run(self, awaitable: Awaitable[object]) -> None:
        """Run it to its end, in this thread. Raises what it raises."""
        if not hasattr(self._local, "runner"):
            self._local.runner = asyncio.Runner()
        # A context of its own each time: the runner's would be that of the thread's first message for ever.
        self._local.runner.run(self._run(awaitable), context=contextvars.copy_context())

    async def _run(self, awaitable: Awaitable[object]) -> None:
        await awaitable

    def rest(self) -> None:
        """Called in a thread when it may have nothing to do for a while."""

    def close(self) -> None:
        """End the loop of this thread, if it has one."""
        with suppress(AttributeError):
            self._local.runner.close()

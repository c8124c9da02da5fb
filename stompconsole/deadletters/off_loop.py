"""What the engines have in common on the event loop: blocking calls kept off it, rests that an event cuts short."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from channels.db import database_sync_to_async

from stompconsole.deadletters import connecting

P = ParamSpec("P")
R = TypeVar("R")


async def in_database(function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Run a blocking call of the database on the thread for them."""
    result: R = await database_sync_to_async(function)(*args, **kwargs)
    return result


class DatabaseThread:
    """A thread with a connection of its own, for what is asked of the database beside the thread that all else shares:
    that one does one thing after the other. It begins with the first call, and is to be closed."""

    def __init__(self, name: str) -> None:
        self._executor = ThreadPoolExecutor(1, thread_name_prefix=name)

    async def run(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run a blocking call of the database; its connection is kept until ``give_back``."""

        def call() -> R:
            connecting.make_ready()
            return function(*args, **kwargs)

        return await asyncio.get_running_loop().run_in_executor(self._executor, call)

    async def give_back(self) -> None:
        """Nothing more for a while."""
        await asyncio.get_running_loop().run_in_executor(self._executor, connecting.give_back)

    def close(self) -> None:
        """End it once it is through with what it was asked; nobody waits for that."""
        # In the thread that opened it: a connection belongs to its thread.
        self._executor.submit(connecting.close)
        self._executor.shutdown(wait=False)


async def rest(seconds: float, *until: asyncio.Event) -> None:
    """Wait, but not longer than until one of the events is set."""
    waits = [asyncio.ensure_future(event.wait()) for event in until]
    try:
        await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()

"""What the engines have in common on the event loop: blocking calls kept off it, rests that an event cuts short."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from channels.db import database_sync_to_async

P = ParamSpec("P")
R = TypeVar("R")


async def in_database(function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Run a blocking call of the database on the thread for them."""
    result: R = await database_sync_to_async(function)(*args, **kwargs)
    return result


async def rest(seconds: float, *until: asyncio.Event) -> None:
    """Wait, but not longer than until one of the events is set."""
    waits = [asyncio.ensure_future(event.wait()) for event in until]
    try:
        await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()

"""Waiting for many futures of other threads at once. asyncio would wake its loop for each of them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from concurrent.futures import Future


async def all_done(futures: Sequence[Future[None]]) -> None:
    """Until each is done, well or not. To be cancelled by whoever does not wait any longer: the futures go on."""
    if not futures:
        return
    loop = asyncio.get_running_loop()
    done = asyncio.Event()
    lock = threading.Lock()
    left = len(futures)

    def one_less(_future: Future[None]) -> None:
        nonlocal left
        # Receipts come on the thread of a session, and brokers have a session each.
        with lock:
            left -= 1
            last = left == 0
        # A receipt may come when nobody waits for it any more, at the end of the process.
        if last and not loop.is_closed():
            loop.call_soon_threadsafe(done.set)

    for future in futures:
        future.add_done_callback(one_less)
    await done.wait()

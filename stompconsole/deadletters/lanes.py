"""Lanes: blocking calls, mostly of the database, kept off the event loop, each lane in order on one thread.

A lane that hangs holds up nothing but itself: the guard and the nudges live on the loop. Its thread is a daemon, so
that a process can end while a database does not answer; executors would wait for it for ever.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import Any, ParamSpec, TypeVar

from stompconsole.deadletters import connecting

P = ParamSpec("P")
T = TypeVar("T")


class Lane:
    """One thread for blocking calls. Its database connection is kept, and opened anew after an error."""

    def __init__(self, name: str) -> None:
        self._calls: queue.SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=f"{name} lane", daemon=True)
        self._thread.start()

    async def run(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a call on the lane's thread and give back what it gives, or raise what it raises."""
        future: Future[T] = Future()
        self._calls.put((future, partial(call, *args, **kwargs)))
        return await asyncio.wrap_future(future)

    def close(self, timeout_s: float) -> bool:
        """End the thread after what is queued and close its connection; false if that took too long."""
        self._calls.put(None)
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while (job := self._calls.get()) is not None:
            _carry_out(*job)
            # Else the last call, and all it holds, would live as long as the lane waits.
            del job
        connecting.close()


def _carry_out(future: Future[Any], call: Callable[[], Any]) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        result = call()
    except BaseException as error:  # noqa: BLE001 - whoever awaits the call gets it
        connecting.close()
        future.set_exception(error)
    else:
        future.set_result(result)

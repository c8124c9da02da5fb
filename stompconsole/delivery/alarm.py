"""One thread that runs short actions later: retries when they are due, ACKs that waited long enough."""

from __future__ import annotations

import heapq
import itertools
import logging
import threading
import time
from collections.abc import Callable

logger = logging.getLogger(__name__)

LONGEST_WAIT_S = 3_600.0
"""Waited at a time: what is due in a hundred thousand years is more than a condition can wait for."""


class Alarm:
    """Runs actions after a delay, each on its one thread; they must be quick. Ends at ``stop``."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._count = itertools.count()
        self._changed = threading.Condition()
        self._stopping = False
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
        self._thread.start()

    def after(self, delay_s: float, action: Callable[[], None]) -> None:
        """Run ``action`` in ``delay_s`` seconds; never, if stopped before."""
        entry = (time.monotonic() + delay_s, next(self._count), action)
        with self._changed:
            heapq.heappush(self._due, entry)
            if self._due[0] is entry:
                self._changed.notify()

    def stop(self) -> None:
        """Forget what is not due yet and end the thread; waits for an action that runs."""
        with self._changed:
            self._stopping = True
            self._due.clear()
            self._changed.notify()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(timeout=5.0)

    def _run(self) -> None:
        while (action := self._next()) is not None:
            try:
                action()
            except Exception:  # one action's bug must not take every later retry with it
                logger.exception("an action of %s failed", self._name)

    def _next(self) -> Callable[[], None] | None:
        with self._changed:
            while not self._stopping:
                wait_s = self._due[0][0] - time.monotonic() if self._due else None
                if wait_s is not None and wait_s <= 0:
                    return heapq.heappop(self._due)[2]
                self._changed.wait(min(wait_s, LONGEST_WAIT_S) if wait_s is not None else None)
            return None

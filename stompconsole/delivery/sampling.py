"""A small sample of the messages that were handled well: at most one a second, and a handful that wait to be taken.

Handler threads offer every message; all but one a second cost them a look at the clock. Refuses to know what becomes of
a sample. Thread-safe.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice

from stompconsole.delivery.settlement import Delivery

EVERY_S = 1.0

MOST_BYTES = 64 * 1024
"""Of a body that is kept; a larger one is known by its size alone."""

MOST_HEADERS = 100
MOST_CHARS = 1_000
"""Of a header's name and of its value."""

MOST_WAITING = 5
"""Samples that are kept while nobody takes them, as while the database is away: the newest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One message that was handled well; ``origin`` is where it was subscribed to, ``body`` None when it was too large,
    ``size`` that of the whole."""

    at: datetime
    origin: str
    headers: Mapping[str, str]
    body: bytes | None
    size: int


class Sampler:
    """Takes the samples of one consumer, whatever the number of its threads."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._due_s = -float("inf")
        self._lock = threading.Lock()
        self._waiting: deque[Sample] = deque(maxlen=MOST_WAITING)

    def offer(self, delivery: Delivery) -> None:
        """A message was handled well and acknowledged."""
        if self._clock() >= self._due_s:
            self._keep(delivery)

    def _keep(self, delivery: Delivery) -> None:
        with self._lock:
            # Two threads may have found it due.
            now_s = self._clock()
            if now_s < self._due_s:
                return
            self._due_s = now_s + EVERY_S
            self._waiting.append(_sample(delivery))

    @property
    def empty(self) -> bool:
        """Whether there is nothing to take."""
        return not self._waiting

    def take(self) -> tuple[Sample, ...]:
        """What was kept since the last time, oldest first."""
        with self._lock:
            taken = tuple(self._waiting)
            self._waiting.clear()
        return taken


def _sample(delivery: Delivery) -> Sample:
    body = delivery.body
    # A handler may have put anything into its headers.
    pairs = islice(delivery.headers.items(), MOST_HEADERS)
    return Sample(
        at=datetime.now(UTC),
        origin=delivery.destination,
        headers={str(name)[:MOST_CHARS]: str(value)[:MOST_CHARS] for name, value in pairs},
        body=body if len(body) <= MOST_BYTES else None,
        size=len(body),
    )

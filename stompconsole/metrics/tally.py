"""What one subscription did, counted in memory: the threads add, the beat takes. No database, no clock.

One lock, taken once for each batch, so that counting costs next to nothing on the way of a message.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

from stompconsole.delivery.specs import SubscriptionState
from stompconsole.models.throughput import LATENCY_BOUNDS_S

NO_LATENCY = (0,) * (len(LATENCY_BOUNDS_S) + 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """What happened in a span of time. ``latency`` counts handler calls by LATENCY_BOUNDS_S, one more beyond.

    ``replayed`` pairs the id of a dead letter with the id of the replay that sent it again.
    """

    received: int = 0
    acked: int = 0
    retried: int = 0
    dead_lettered: int = 0
    handler_seconds: float = 0.0
    latency: tuple[int, ...] = NO_LATENCY
    replayed: tuple[tuple[str, str], ...] = ()

    def __add__(self, other: Counts) -> Counts:
        return Counts(
            received=self.received + other.received,
            acked=self.acked + other.acked,
            retried=self.retried + other.retried,
            dead_lettered=self.dead_lettered + other.dead_lettered,
            handler_seconds=self.handler_seconds + other.handler_seconds,
            latency=merged(self.latency, other.latency),
            replayed=self.replayed + other.replayed,
        )

    @property
    def moved(self) -> bool:
        """Whether there is anything in it for a bucket."""
        return bool(self.received or self.acked or self.retried or self.dead_lettered)


NOTHING = Counts()


def merged(one: Sequence[int], other: Sequence[int]) -> tuple[int, ...]:
    """Two histograms added up; a shorter one counts as zero where it ends."""
    length = max(len(one), len(other), len(NO_LATENCY))
    return tuple(map(sum, zip(_padded(one, length), _padded(other, length), strict=True)))


def _padded(counts: Sequence[int], length: int) -> list[int]:
    return [*counts, *[0] * (length - len(counts))]


class Tally:
    """Counts until they are taken. An Observer; thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._clear()

    def received(self, count: int) -> None:
        with self._lock:
            self._received += count

    def handled(self, *, acked: int, retried: int, dead_lettered: int, seconds: Sequence[float]) -> None:
        with self._lock:
            self._acked += acked
            self._retried += retried
            self._dead_lettered += dead_lettered
            latency = self._latency
            for took in seconds:
                latency[bisect_left(LATENCY_BOUNDS_S, took)] += 1
            self._seconds += sum(seconds)

    def replayed(self, dead_letter_id: str, replay_id: str) -> None:
        with self._lock:
            self._replayed.append((dead_letter_id, replay_id))

    def changed(self, state: SubscriptionState, reason: str) -> None:
        """A tally counts; what a subscription is doing is asked of its runner."""

    def take(self) -> Counts:
        """What was counted since the last time."""
        with self._lock:
            counts = Counts(
                received=self._received,
                acked=self._acked,
                retried=self._retried,
                dead_lettered=self._dead_lettered,
                handler_seconds=self._seconds,
                latency=tuple(self._latency),
                replayed=tuple(self._replayed),
            )
            self._clear()
        return counts

    def _clear(self) -> None:
        self._received = self._acked = self._retried = self._dead_lettered = 0
        self._seconds = 0.0
        self._latency = [0] * len(NO_LATENCY)
        self._replayed: list[tuple[str, str]] = []

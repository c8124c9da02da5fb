"""How fast: never more than so many a second, however long nothing was sent before. Pure."""

from __future__ import annotations

import math
import time
from collections.abc import Callable


class Pace:
    """A token bucket that holds one second's worth, and one message at least. Not thread-safe."""

    def __init__(self, rate: float | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate = rate
        self._clock = clock
        self._tokens = 1.0
        self._filled_at = clock()

    @property
    def rate(self) -> float | None:
        """Messages a second; None for no limit."""
        return self._rate

    def change(self, rate: float | None) -> None:
        """Go on at another rate: what was saved up at the old one is kept to what the new one allows."""
        self._fill()
        self._rate = rate
        self._fill()

    def allowed(self, most: int) -> int:
        """How many may go now, at most ``most``."""
        if self._rate is None:
            return most
        self._fill()
        return min(most, math.floor(self._tokens))

    def spend(self, count: int) -> None:
        """So many went."""
        if self._rate is not None:
            self._tokens -= count

    def wait_s(self) -> float:
        """Seconds until one more may go; 0 if it may now."""
        if self._rate is None:
            return 0.0
        self._fill()
        return max(0.0, (1.0 - self._tokens) / self._rate)

    def _fill(self) -> None:
        now = self._clock()
        if self._rate is not None:
            most = max(1.0, self._rate)
            self._tokens = min(most, self._tokens + (now - self._filled_at) * self._rate)
        self._filled_at = now

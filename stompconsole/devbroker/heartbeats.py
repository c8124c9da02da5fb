"""Heart-beats of one connection, both ways (STOMP 1.2, Heart-beating).

Owns the two timers. Refuses to write or close by itself: it calls.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from stompconsole.devbroker.handshake import Agreement

PATIENCE = 2.0
"""How many times its promised interval a client may stay silent."""


class Heartbeats:
    """``beat()`` is called as often as promised, ``silent(seconds)`` when the client was silent too long."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, beat: Callable[[], None], silent: Callable[[float], None]
    ) -> None:
        self._loop = loop
        self._beat = beat
        self._silent = silent
        self._heard_at = loop.time()
        self._timers: dict[str, asyncio.TimerHandle] = {}

    def start(self, agreement: Agreement) -> None:
        """Begin, after CONNECTED."""
        self.heard()
        if agreement.beat_s:
            self._plan_beat(agreement.beat_s)
        if agreement.expect_s:
            self._plan_check(agreement.expect_s, agreement.expect_s * PATIENCE)

    def stop(self) -> None:
        """End for good."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()

    def heard(self) -> None:
        """The client was heard, or could not have been."""
        self._heard_at = self._loop.time()

    def _plan_beat(self, interval_s: float) -> None:
        # Twice as often as promised, as RabbitMQ does: a beat that is late by a little is still in time.
        self._timers["beat"] = self._loop.call_later(interval_s / 2, self._on_beat, interval_s)

    def _on_beat(self, interval_s: float) -> None:
        self._plan_beat(interval_s)
        self._beat()

    def _plan_check(self, interval_s: float, delay_s: float) -> None:
        self._timers["check"] = self._loop.call_later(delay_s, self._on_check, interval_s)

    def _on_check(self, interval_s: float) -> None:
        silent_s = self._loop.time() - self._heard_at
        left_s = interval_s * PATIENCE - silent_s
        if left_s > 0:
            self._plan_check(interval_s, left_s)
        else:
            self._plan_check(interval_s, interval_s)
            self._silent(silent_s)

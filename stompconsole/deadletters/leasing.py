"""The lease of one replay as its worker holds it: renewed as long as it is carried out, and each time it is asked what
is wanted of the replay by now.
"""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

from django.db import Error

from stompconsole.conf import settings_now
from stompconsole.deadletters import replay_rows
from stompconsole.deadletters.pacing import Pace
from stompconsole.deadletters.replay_rows import Orders
from stompconsole.models import ReplayState

logger = logging.getLogger(__name__)

RENEW_EVERY_S = 1.0
"""How often a lease is renewed, at most a third of it; a cancelled replay is noticed as soon."""


class Lease:
    """Held from when the replay was taken. ``rows`` calls a function with the replay's id and more, on the thread for
    the database; ``pace`` is told when the rate was changed. ``changed`` is set when the replay is not to go on."""

    def __init__(self, replay_id: int, worker_id: uuid.UUID, rows: Callable[..., Awaitable[Any]], pace: Pace) -> None:
        self._replay_id = replay_id
        self._worker_id = worker_id
        self._rows = rows
        self._pace = pace
        self._lease_s = settings_now().lease_s
        self._held_until = time.monotonic() + self._lease_s
        self._state: ReplayState | None = ReplayState.RUNNING
        self.changed = asyncio.Event()

    @property
    def may_go_on(self) -> bool:
        """Whether the replay is running, and no other worker can have it."""
        return self._state is ReplayState.RUNNING and time.monotonic() < self._held_until

    def stop(self) -> None:
        """Its stop rule has stopped it."""
        self._state = ReplayState.STOPPED

    async def begin(self) -> None:
        """Find out what is wanted of the replay at first."""
        try:
            self._obey(await self._rows(replay_rows.orders))
        except Error as error:
            logger.warning("replay %d waits for the database: %s", self._replay_id, error)

    async def keep(self) -> None:
        """Renew it, until the replay is not to go on."""
        while self._state is ReplayState.RUNNING:
            await asyncio.sleep(min(RENEW_EVERY_S, self._lease_s / 3))
            asked_at = time.monotonic()
            try:
                orders = await self._rows(replay_rows.renew, self._worker_id, self._lease_s)
            except Error as error:
                logger.warning("the lease of replay %d can't be renewed: %s", self._replay_id, error)
            else:
                self._held_until = asked_at + self._lease_s
                self._obey(orders)
        self.changed.set()

    async def give_up(self) -> None:
        """Let another worker go on at once; of one that was cancelled the rest is given back."""
        try:
            await self._rows(replay_rows.clear_cancelled, self._worker_id)
            await self._rows(replay_rows.give_up_lease, self._worker_id)
        except Error as error:
            logger.warning("replay %d is left to its lease: %s", self._replay_id, error)

    def _obey(self, orders: Orders | None) -> None:
        # What a stop rule has stopped here stays stopped, though the row may have been read before.
        if self._state is ReplayState.RUNNING:
            self._state = None if orders is None else orders.state
        if orders is not None and orders.rate != self._pace.rate:
            self._pace.change(orders.rate)

"""The replay engine: takes replays by lease and has them carried out, a few at a time. See ``carrying``."""

from __future__ import annotations

import asyncio
import logging
import uuid
from functools import partial

from django.db import Error

from stompconsole.conf import settings_now
from stompconsole.deadletters import due, replay_rows
from stompconsole.deadletters.carrying import Run
from stompconsole.deadletters.off_loop import DatabaseThread, in_database, rest
from stompconsole.deadletters.replay_rows import Lane
from stompconsole.delivery.sender import Senders

logger = logging.getLogger(__name__)

AT_ONCE = {Lane.ASKED_FOR: 4, Lane.SCHEDULED: 16}
"""Replays one worker carries out at the same time. Of retries there is one for each consumer that has some, and one
whose broker is away must not keep the others from being sent in time."""


class ReplayEngine:
    """Carries out replays for one worker. ``worker_id`` is the id of its row, which must exist."""

    def __init__(self, worker_id: uuid.UUID, worker_name: str, senders: Senders) -> None:
        self._worker_id = worker_id
        self._worker_name = worker_name
        self._senders = senders
        self._wake = asyncio.Event()
        self._reading = DatabaseThread("replay reader")
        self._carrying: dict[Lane, set[int]] = {lane: set() for lane in Lane}

    def nudge(self) -> None:
        """Look for replays now instead of at the next poll. From the event loop's thread."""
        self._wake.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Work until ``stop`` is set; then finish what is in flight, give the leases back and return."""
        try:
            async with asyncio.TaskGroup() as group:
                while not stop.is_set():
                    # Cleared before the look: a nudge that comes later is seen at the next turn.
                    self._wake.clear()
                    pause_s = await self._gather()
                    if not [lane for lane in Lane if await self._began(lane, group, stop)]:
                        await rest(pause_s, stop, self._wake)
        finally:
            self._reading.close()

    async def _gather(self) -> float:
        """Make replays of the retries that are due; how long to rest before the next look."""
        poll_s = settings_now().poll_interval_s
        try:
            next_s = await in_database(due.gather)
        except Error as error:
            logger.warning("retries that are due can't be looked for: %s", error)
            return poll_s
        return poll_s if next_s is None else min(poll_s, next_s)

    async def _began(self, lane: Lane, group: asyncio.TaskGroup, stop: asyncio.Event) -> bool:
        """Whether there was another replay to carry out."""
        if (replay_id := await self._take(lane)) is None:
            return False
        run = Run(replay_id, self._worker_id, self._worker_name, self._senders, self._reading, stop)
        task = group.create_task(run.carry_out(), name=f"replay {replay_id}")
        self._carrying[lane].add(replay_id)
        task.add_done_callback(partial(self._ended, lane, replay_id))
        return True

    def _ended(self, lane: Lane, replay_id: int, _task: asyncio.Task[None]) -> None:
        self._carrying[lane].discard(replay_id)
        self._wake.set()

    async def _take(self, lane: Lane) -> int | None:
        carrying = tuple(self._carrying[lane])
        if len(carrying) >= AT_ONCE[lane]:
            return None
        try:
            return await in_database(replay_rows.take, self._worker_id, settings_now().lease_s, carrying, lane)
        except Error as error:
            logger.warning("replays can't be looked for: %s", error)
            return None

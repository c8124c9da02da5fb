"""The replay engine: takes replays by lease and has them carried out, a few at a time. See ``carrying``."""

from __future__ import annotations

import asyncio
import logging
import uuid
from functools import partial

from django.db import Error

from stompconsole.conf import settings_now
from stompconsole.deadletters import due, replay_rows
from stompconsole.deadletters.carrying import Means, Run
from stompconsole.deadletters.lanes import Lane
from stompconsole.deadletters.off_loop import in_database, rest
from stompconsole.deadletters.replay_rows import Track
from stompconsole.delivery.senders import Senders

logger = logging.getLogger(__name__)

AT_ONCE = {Track.ASKED_FOR: 4, Track.SCHEDULED: 16}
"""Replays one worker carries out at the same time. Of retries there is one for each consumer that has some, and one
whose broker is away must not keep the others from being sent in time."""

CLOSE_LIMIT_S = 0.2


class ReplayEngine:
    """Carries out replays for one worker. ``worker_id`` is the id of its row, which must exist."""

    def __init__(self, worker_id: uuid.UUID, worker_name: str, senders: Senders) -> None:
        self._worker_id = worker_id
        self._worker_name = worker_name
        self._senders = senders
        self._wake = asyncio.Event()
        self._carrying: dict[Track, set[int]] = {track: set() for track in Track}

    def nudge(self) -> None:
        """Look for replays now instead of at the next poll. From the event loop's thread."""
        self._wake.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Work until ``stop`` is set; then finish what is in flight, give the leases back and return."""
        reading, writing = Lane("replay reader"), Lane("replay writer")
        means = Means(
            worker_id=self._worker_id,
            worker_name=self._worker_name,
            senders=self._senders,
            reading=reading,
            writing=writing,
        )
        try:
            async with asyncio.TaskGroup() as group:
                while not stop.is_set():
                    # Cleared before the look: a nudge that comes later is seen at the next turn.
                    self._wake.clear()
                    pause_s = await self._gather()
                    if not [track for track in Track if await self._began(track, group, means, stop)]:
                        await rest(pause_s, stop, self._wake)
        finally:
            # Nobody needs what it may be reading yet; what was to be written is, or was given up. And a database that
            # is away must not hold up the worker's end.
            reading.close(CLOSE_LIMIT_S)
            writing.close(CLOSE_LIMIT_S)

    async def _gather(self) -> float:
        """Make replays of the retries that are due; how long to rest before the next look."""
        poll_s = settings_now().poll_interval_s
        try:
            next_s = await in_database(due.gather)
        except Error as error:
            logger.warning("retries that are due can't be looked for: %s", error)
            return poll_s
        return poll_s if next_s is None else min(poll_s, next_s)

    async def _began(self, track: Track, group: asyncio.TaskGroup, means: Means, stop: asyncio.Event) -> bool:
        """Whether there was another replay to carry out."""
        if (replay_id := await self._take(track)) is None:
            return False
        run = Run(replay_id, means, stop)
        task = group.create_task(run.carry_out(), name=f"replay {replay_id}")
        self._carrying[track].add(replay_id)
        task.add_done_callback(partial(self._ended, track, replay_id))
        return True

    def _ended(self, track: Track, replay_id: int, _task: asyncio.Task[None]) -> None:
        self._carrying[track].discard(replay_id)
        self._wake.set()

    async def _take(self, track: Track) -> int | None:
        carrying = tuple(self._carrying[track])
        if len(carrying) >= AT_ONCE[track]:
            return None
        try:
            return await in_database(replay_rows.take, self._worker_id, settings_now().lease_s, carrying, track)
        except Error as error:
            logger.warning("replays can't be looked for: %s", error)
            return None

"""The trial engine: takes trials by lease and carries them out, one dead letter after the other, each in time.

Where the settings do not allow it, it takes none. What a worker that ends leaves behind is taken over; an item may then
be tried twice, which is no more than it was asked for. The database is asked on a thread; the handlers run in a process
of their own, so that none can hold up the worker.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from typing import Any

from django.db import Error

from stompconsole.conf import settings_now
from stompconsole.deadletters.off_loop import in_database
from stompconsole.deadletters.trying import trial_rows
from stompconsole.deadletters.trying.process import Nursery, NurseryFailed
from stompconsole.deadletters.trying.verdict import Verdict, skipped
from stompconsole.delivery.senders import Senders

logger = logging.getLogger(__name__)

RENEW_EVERY_S = 1.0
"""How often a lease is renewed, at most a third of it; a cancelled trial is noticed as soon."""

BREATH_S = 0.2
"""Where one writer at a time is all there is: the pause in which the others have their turn."""

WRITE_TRIES = 5
WRITE_PAUSE_S = 0.5
MOST_FAILURES = 2
"""So often in a row the process may fail before the rest of a trial is skipped."""


class TrialEngine:
    """Carries out trials for one worker. ``worker_id`` is the id of its row, which must exist."""

    def __init__(self, worker_id: uuid.UUID, worker_name: str, _senders: Senders) -> None:
        self._worker_id = worker_id
        self._worker_name = worker_name
        self._wake = asyncio.Event()

    def nudge(self) -> None:
        """Look for trials now instead of at the next poll. From the event loop's thread."""
        self._wake.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Work until ``stop`` is set; then end what is being tried, give the lease back and return."""
        while not stop.is_set():
            # Cleared before the look: a nudge that comes later is seen at the next turn.
            self._wake.clear()
            if (trial_id := await self._take()) is None:
                await _any_of(settings_now().poll_interval_s, stop, self._wake)
                continue
            if not await _Run(trial_id, self._worker_id, self._worker_name, stop).carry_out():
                await _any_of(settings_now().poll_interval_s, stop)

    async def _take(self) -> int | None:
        if not settings_now().try_handlers:
            return None
        try:
            return await in_database(trial_rows.take, self._worker_id, settings_now().lease_s)
        except Error as error:
            logger.warning("trials can't be looked for: %s", error)
            return None


class _Run:
    """One trial, carried out as long as its lease holds."""

    def __init__(self, trial_id: int, worker_id: uuid.UUID, worker_name: str, stop: asyncio.Event) -> None:
        self._trial_id = trial_id
        self._worker_id = worker_id
        self._worker_name = worker_name
        self._stop = stop
        self._over = asyncio.Event()
        self._nursery = Nursery()
        self._lease_s = settings_now().lease_s
        self._failures = 0

    async def carry_out(self) -> bool:
        """Until it is done or cancelled, its lease is lost or the worker stops; false if the database was away."""
        logger.info("trial %d is carried out by %s", self._trial_id, self._worker_name)
        keeper = asyncio.create_task(self._keep_lease())
        try:
            while self._goes_on and await self._tried_next():
                pass
        except Error as error:
            logger.warning("trial %d waits for the database: %s", self._trial_id, error)
            return False
        finally:
            keeper.cancel()
            await asyncio.shield(self._leave())
        return True

    @property
    def _goes_on(self) -> bool:
        return not self._over.is_set() and not self._stop.is_set()

    async def _tried_next(self) -> bool:
        """Try one; false when none was left."""
        item_id = await in_database(trial_rows.next_item, self._trial_id, self._worker_id)
        if item_id is None:
            if await in_database(trial_rows.finish, self._trial_id, self._worker_id, self._worker_name):
                logger.info("trial %d is done", self._trial_id)
            return False
        verdict = await self._verdict(item_id)
        if verdict is None:
            await in_database(trial_rows.unbegin, item_id)
            return False
        await self._write_down(item_id, verdict)
        if self._failures >= MOST_FAILURES:
            await in_database(trial_rows.skip_rest, self._trial_id, verdict.notes[0])
        return True

    async def _verdict(self, item_id: int) -> Verdict | None:
        """What came of it; None when it was ended because the trial or the worker is to end."""
        limit_s = await in_database(trial_rows.limit_s)
        trying = asyncio.create_task(self._nursery.try_item(item_id, limit_s))
        try:
            await _any_of(None, self._over, self._stop, trying)
            if not trying.done():
                return None
            verdict = trying.result()
        except NurseryFailed as error:
            logger.warning("trial %d: %s", self._trial_id, error)
            self._failures += 1
            return skipped(f"It could not be tried: {error}.")
        finally:
            trying.cancel()
        self._failures = 0
        return verdict

    async def _write_down(self, item_id: int, verdict: Verdict) -> None:
        for tries in range(1, WRITE_TRIES + 1):
            try:
                await in_database(trial_rows.record, item_id, verdict)
            except Error:
                if tries == WRITE_TRIES:
                    raise
                await asyncio.sleep(WRITE_PAUSE_S)
            else:
                break
        if await in_database(trial_rows.locks_everybody_out):
            await asyncio.sleep(BREATH_S)

    async def _keep_lease(self) -> None:
        while True:
            await asyncio.sleep(min(RENEW_EVERY_S, self._lease_s / 3))
            try:
                held = await in_database(trial_rows.renew, self._trial_id, self._worker_id, self._lease_s)
            except Error as error:
                # Another worker may take it meanwhile: then an item is tried twice, and what comes second is dropped.
                logger.warning("the lease of trial %d can't be renewed: %s", self._trial_id, error)
                continue
            if not held:
                self._over.set()
                return

    async def _leave(self) -> None:
        await self._nursery.close()
        try:
            await in_database(trial_rows.give_up_lease, self._trial_id, self._worker_id)
        except Error as error:
            logger.warning("trial %d is left to its lease: %s", self._trial_id, error)


async def _any_of(seconds: float | None, *until: asyncio.Event | asyncio.Task[Any]) -> None:
    """Wait until one of the events is set or of the tasks is done, or for so long."""
    waits = [each if isinstance(each, asyncio.Task) else asyncio.ensure_future(each.wait()) for each in until]
    try:
        await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait, each in zip(waits, until, strict=True):
            if wait is not each:
                wait.cancel()

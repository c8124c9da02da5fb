"""What operators ask for of dead letters that stay in the broker, carried out: sent back, or looked at.

A side task of every worker. Rows are asked on one thread; each errand has threads of its own, so that a broker that
does not answer holds up nobody else's.
"""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import replace
from typing import Any

from stompconsole.conf import settings_now
from stompconsole.deadletters import broker_letters
from stompconsole.deadletters.lanes import Lane
from stompconsole.deadletters.off_loop import rest
from stompconsole.delivery.browsing import Browsed, browse
from stompconsole.delivery.returning import Going, Returning
from stompconsole.delivery.senders import Senders
from stompconsole.delivery.specs import BrokerSpec
from stompconsole.errors import ConfigurationError
from stompconsole.models import BrokerBrowse
from stompconsole.worker.outages import DATABASE_AWAY

logger = logging.getLogger(__name__)

AT_ONCE = 4
"""Errands one worker carries out at the same time."""

LOOK_EVERY_S = 0.25
WRITE_EVERY_S = 1.0
CLOSE_LIMIT_S = 0.2


class BrokerLetters:
    """Carries out errands for one worker."""

    def __init__(self, worker_id: uuid.UUID, worker_name: str, senders: Senders) -> None:
        self._worker_id = worker_id
        self._worker_name = worker_name
        self._senders = senders
        self._rows = Lane("broker letters")
        self._wake = asyncio.Event()
        self._replaying: set[int] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    def nudge(self) -> None:
        """Look for errands now instead of at the next poll."""
        self._wake.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Work until ``stop`` is set; then leave what is under way to others and return."""
        try:
            while not stop.is_set():
                self._wake.clear()
                if not await self._begin(stop):
                    await rest(settings_now().poll_interval_s, stop, self._wake)
            if self._tasks:
                await asyncio.wait(self._tasks)
        finally:
            self._rows.close(CLOSE_LIMIT_S)

    async def _begin(self, stop: asyncio.Event) -> bool:
        """Begin an errand if there is one and room for it."""
        if len(self._tasks) >= AT_ONCE:
            return False
        try:
            if (pk := await self._rows.run(broker_letters.take_browse)) is not None:
                self._start(self._browse(pk), f"look {pk}")
                return True
            lease_s = settings_now().lease_s
            pk = await self._rows.run(broker_letters.take_replay, self._worker_id, lease_s, tuple(self._replaying))
        except DATABASE_AWAY as error:
            logger.info("errands can't be looked for: %s", error)
            return False
        if pk is None:
            return False
        self._replaying.add(pk)
        self._start(self._replay(pk, stop), f"broker replay {pk}")
        return True

    def _start(self, errand: Coroutine[Any, Any, None], name: str) -> None:
        task = asyncio.create_task(errand, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(lambda _: self._wake.set())

    async def _browse(self, pk: int) -> None:
        try:
            seen = await self._seen(pk)
            await self._rows.run(broker_letters.write_browse, pk, seen)
        except DATABASE_AWAY as error:
            logger.info("what look %d has shown can't be written: %s", pk, error)
        except Exception:
            # Begun again after a while: the worker must not end over a look.
            logger.exception("look %d failed", pk)

    async def _seen(self, pk: int) -> Browsed:
        lane = Lane(f"look {pk}")
        try:
            broker, destination = await self._rows.run(_place, pk)
            return await lane.run(browse, broker, destination, broker_letters.SHOWN)
        except ConfigurationError as error:
            return Browsed(reason=str(error))
        finally:
            lane.close(0.0)

    async def _replay(self, pk: int, stop: asyncio.Event) -> None:
        try:
            errand = await self._rows.run(broker_letters.errand, pk)
            returning = Returning(errand, self._senders.of(errand.broker))
            await _Carrying(pk, returning, self._rows, self._worker_id, self._worker_name).out(stop)
        except ConfigurationError as error:
            await self._fail(pk, str(error))
        except DATABASE_AWAY as error:
            logger.info("broker replay %d is left to its lease: %s", pk, error)
        except Exception:
            logger.exception("broker replay %d failed", pk)
            await self._fail(pk, "an internal error: see the log of the worker")
        finally:
            self._replaying.discard(pk)

    async def _fail(self, pk: int, why: str) -> None:
        going = Going(over=why, failure=True)
        with suppress(*DATABASE_AWAY):
            await self._rows.run(broker_letters.finish, pk, self._worker_id, self._worker_name, going, 0)


class _Carrying:
    """One replay under way."""

    def __init__(self, pk: int, returning: Returning, rows: Lane, worker_id: uuid.UUID, worker_name: str) -> None:
        self._pk = pk
        self._rows = rows
        self._worker_id = worker_id
        self._worker_name = worker_name
        self._returning = returning
        self._lane = Lane(f"broker replay {pk}")
        self._written = 0
        self._held_until = time.monotonic() + settings_now().lease_s

    async def out(self, stop: asyncio.Event) -> None:
        """Until it is over, cancelled, another's, or the worker stops."""
        logger.info("broker replay %d is carried out by %s", self._pk, self._worker_name)
        self._returning.start()
        going = Going()
        try:
            going = await self._watch(stop)
        finally:
            moved = await asyncio.shield(self._lane.run(self._returning.stop))
            self._lane.close(0.0)
            await asyncio.shield(self._end(replace(going, moved=moved)))

    async def _watch(self, stop: asyncio.Event) -> Going:
        write_at = 0.0
        loop = asyncio.get_running_loop()
        going = self._returning.look()
        while not (going.over or stop.is_set()):
            if loop.time() >= write_at:
                write_at = loop.time() + min(WRITE_EVERY_S, settings_now().lease_s / 3)
                if not await self._write(going):
                    break
            await rest(LOOK_EVERY_S, stop)
            going = self._returning.look()
        return going

    async def _write(self, going: Going) -> bool:
        """False when it is to be left."""
        lease_s, asked_at = settings_now().lease_s, time.monotonic()
        moved_now = going.moved - self._written
        try:
            mine = await self._rows.run(broker_letters.write, self._pk, self._worker_id, lease_s, going, moved_now)
        except DATABASE_AWAY as error:
            # Moving needs no database, but another worker may have it once the lease has run out.
            logger.info("broker replay %d can't be written: %s", self._pk, error)
            return asked_at < self._held_until
        self._written = going.moved
        self._held_until = asked_at + lease_s
        return mine

    async def _end(self, going: Going) -> None:
        moved_now = going.moved - self._written
        if going.over:
            await self._rows.run(broker_letters.finish, self._pk, self._worker_id, self._worker_name, going, moved_now)
        else:
            await self._rows.run(broker_letters.leave, self._pk, self._worker_id, going, moved_now)


def _place(pk: int) -> tuple[BrokerSpec, str]:
    row = BrokerBrowse.objects.select_related("consumer__broker").get(pk=pk)
    return row.consumer.broker.spec(), row.consumer.dead_letters_go_to

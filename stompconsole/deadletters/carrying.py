"""One replay, carried out by one worker: from where it stands until it is done, cancelled, paused or taken away.

At least once: an item is sent again when its worker died before the receipt was written down. Never twice: an item
whose receipt is written down. A broker in trouble makes its items wait, with the reason on the replay; those of other
brokers go on. The database is asked on a thread; while it is away, what is known is kept and written later.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, ParamSpec, TypeVar

from asgiref.sync import sync_to_async
from django.db import Error

from stompconsole.deadletters import connecting, doubts, freezing, portions, replay_rows
from stompconsole.deadletters.held_replaying import HeldReplaying
from stompconsole.deadletters.judging import Course
from stompconsole.deadletters.lanes import Lane
from stompconsole.deadletters.leasing import RENEW_EVERY_S, Lease
from stompconsole.deadletters.locks import one_writer
from stompconsole.deadletters.off_loop import rest
from stompconsole.deadletters.overlapping import Landed, ReadAhead, UnderWay, WriteBehind
from stompconsole.deadletters.pacing import Pace
from stompconsole.deadletters.portions import Held, Portion
from stompconsole.deadletters.resending import Resender
from stompconsole.deadletters.unconfirmed import Results
from stompconsole.delivery.senders import Senders

logger = logging.getLogger(__name__)

FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 15.0
JUDGE_EVERY_S = 0.5
"""How often outcomes are counted for the stop rule, and waited for by a canary."""

WRITE_TRIES_AT_STOP = 3

P = ParamSpec("P")
R = TypeVar("R")


async def _in_kept_database(function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Run a blocking call on the thread for them, on a connection that is kept: to be given back."""
    result: R = await sync_to_async(connecting.on_kept)(function, *args, **kwargs)
    return result


def _write(replay_id: int, landed: Landed) -> None:
    results = landed.results
    # The flight goes last: until then all of it is in doubt.
    doubts.write(replay_id, results.in_doubt, results.repeated, results.cleared)
    skipped = [*results.refused.items(), *landed.unsendable.items()]
    replay_rows.record(replay_id, results.sent, skipped, landed.flight_id)


def _landed(portion: Portion, results: Results) -> Landed:
    return Landed(results=results, unsendable=portion.unsendable, flight_id=portion.flight_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """What one worker carries its replays out with. Portions are read on a thread of their own, and what came of them
    is written down on another: on the one that all else shares each would wait for the other, and sending for both."""

    worker_id: uuid.UUID
    worker_name: str
    senders: Senders
    reading: Lane
    writing: Lane


class Run:
    """One replay, carried out as long as its lease holds."""

    def __init__(self, replay_id: int, means: Means, stop: asyncio.Event) -> None:
        self._replay_id = replay_id
        self._worker_id = means.worker_id
        self._worker_name = means.worker_name
        self._reading = means.reading
        self._writing = means.writing
        self._stop = stop
        self._resender = Resender(replay_id, means.senders, stop)
        self._held_replaying = HeldReplaying(replay_id, means.senders)
        self._held: set[Held] = set()
        self._note = ""
        self._held_up = False
        self._resume_at = 0
        self._pause_s = FIRST_PAUSE_S
        self._pace = Pace()
        self._lease = Lease(replay_id, means.worker_id, self._rows, self._pace)
        self._judged_at = 0.0
        self._course: Course | None = None

    @property
    def may_send(self) -> bool:
        """Whether it is running, this worker's, and the worker goes on."""
        return self._lease.may_go_on and not self._stop.is_set()

    async def carry_out(self) -> None:
        """Until it is done, cancelled, paused or stopped, the lease is lost or the worker stops."""
        logger.info("replay %d is carried out by %s", self._replay_id, self._worker_name)
        await self._lease.begin()
        keeper = asyncio.create_task(self._lease.keep())
        try:
            while self.may_send and not await self._went_through():
                pass
        finally:
            keeper.cancel()
            await asyncio.shield(self._leave())

    async def _leave(self) -> None:
        await self._lease.give_up()
        await sync_to_async(connecting.give_back)()

    async def _went_through(self) -> bool:
        """Once from the first waiting item to the last; true when the replay is done, or to be taken up later."""
        try:
            while self.may_send and await self._rows(freezing.go_on, self._worker_id):
                pass
            if self.may_send and await self._rows(replay_rows.put_off, self._worker_id):
                return True
            began_at = self._resume_at
            trouble = await self._send_waiting() or await self._held_replaying.send(self._held, self)
            if not trouble and began_at:
                return False
            if not trouble and await self._rows(replay_rows.finish, self._worker_id, self._worker_name):
                logger.info("replay %d is done", self._replay_id)
                return True
            await self._wait_out("; ".join(trouble.values()))
        except Error as error:
            logger.warning("replay %d waits for the database: %s", self._replay_id, error)
            await self._pause()
        return False

    async def _send_waiting(self) -> dict[str, str]:
        """Send what is waiting, from where the last trouble was; by broker what stood in the way."""
        trouble: dict[str, str] = {}
        after_item, self._resume_at = self._resume_at, 0
        self._held = set()
        ahead = ReadAhead(self._read)
        behind = WriteBehind(self._write_down)

        async def landed(portion: Portion, results: Results) -> None:
            await behind.end()
            await behind.begin(_landed(portion, results))
            if new_trouble := portion.trouble | results.trouble:
                trouble.update(new_trouble)
                # One queue that is full blocks its broker's sender: next time those behind it have their turn.
                self._resume_at = results.stuck_at or portion.last_item
            elif results.sent and not trouble:
                self._held_up = False

        under_way = UnderWay(self._resender.settle, landed)
        try:
            while self.may_send:
                if self._is_bounded or self._pace.rate is not None:
                    # What is sent counts for how many more may be; and nothing is in doubt while it rests.
                    await under_way.land()
                    await behind.end()
                if not (most := await self.allowance()):
                    continue
                portion = await ahead.of(after_item, tuple(trouble), most)
                if not portion.last_item:
                    break
                after_item = portion.last_item
                if most == portions.PORTION:
                    # As many as there may be: so it will be next time.
                    ahead.begin(after_item, tuple(trouble), most)
                self._held |= portion.held
                await self._begin(portion)
                # Two portions in doubt at most, when this one is sent: what came of the one before the last is written
                # down by then.
                await behind.end()
                if not await self._sent_behind(portion, under_way):
                    await landed(portion, await self._resend(portion))
        finally:
            try:
                await under_way.land()
                await behind.end()
            finally:
                await ahead.drop()
        return trouble

    async def _sent_behind(self, portion: Portion, under_way: UnderWay) -> bool:
        """Whether it is on its way now, to be settled later; if not, nothing else is either."""
        if under_way.has_landed:
            # Written down while this one is handed over.
            await under_way.land()
        flight = await self._resender.hand_over(portion.outgoing) if self.may_send else None
        if flight is None:
            await under_way.land()
            return False
        await under_way.follow(portion, flight)
        return True

    async def _read(self, after_item: int, without: tuple[str, ...], most: int) -> Portion:
        read = partial(portions.portion, self._replay_id, after_item, without, most)
        return await self._reading.run(connecting.on_kept, read)

    async def send_portion(self, portion: Portion) -> Results:
        """Send, and write down what came of it."""
        await self._begin(portion)
        results = await self._resend(portion)
        # What is not written down must keep its copy, where it was taken out of a queue.
        return results if await self._write_down(_landed(portion, results)) else Results()

    async def _begin(self, portion: Portion) -> None:
        if not portion.outgoing:
            return
        self._pace.spend(len(portion.outgoing))
        # Where one writes at a time it takes its turn on the lane: who finds such a database busy sleeps.
        run = self._on_lane if one_writer() else self._rows
        portion.flight_id = await run(replay_rows.begin, portion.outgoing)

    async def _resend(self, portion: Portion) -> Results:
        # Once more: all that came before may have taken longer than the lease, and another worker be at it.
        return await self._resender.send(portion.outgoing) if self.may_send else Results()

    async def allowance(self) -> int:
        """How many may be sent now; 0 when none may, after a rest."""
        await self._judge()
        if not self.may_send:
            return 0
        limit = self._course.may_send if self._course is not None else None
        if limit == 0:
            await self._say(self._course.waits if self._course is not None else "")
            await rest(JUDGE_EVERY_S, self._stop, self._lease.changed)
            return 0
        if not self._held_up:
            # Else the reason stays until it gets on again: trying once more takes as long as a receipt may.
            await self._say("")
        if not (most := self._pace.allowed(portions.PORTION)):
            # Not much longer: the rate may be changed meanwhile.
            await rest(min(self._pace.wait_s(), RENEW_EVERY_S), self._stop, self._lease.changed)
            return 0
        return most if limit is None else min(most, limit)

    @property
    def _is_bounded(self) -> bool:
        """Whether a step of a canary says how many may be sent."""
        return self._course is not None and self._course.may_send is not None

    async def _judge(self) -> None:
        # Counting the items of a large replay takes a while: no more often than it may change the course, but for
        # the steps of a canary, which must never be exceeded.
        if not self._is_bounded and time.monotonic() - self._judged_at < JUDGE_EVERY_S:
            return
        if self._judged_at and self._course is None:
            # Without rules, or ended: none come later.
            return
        self._course = await self._rows(replay_rows.course, self._worker_id)
        self._judged_at = time.monotonic()
        if self._course is not None and self._course.stop:
            logger.warning("replay %d is %s", self._replay_id, self._course.stop)
            self._lease.stop()

    async def _write_down(self, landed: Landed) -> bool:
        """Kept until the database takes it, or the end: a receipt that is not written down would be sent again."""
        tries, sent = 0, len(landed.results.sent)
        while True:
            try:
                await self._on_lane(_write, landed)
            except Error as error:
                tries += 1
                logger.warning("replay %d: %d receipts can't be written: %s", self._replay_id, sent, error)
                if self._stop.is_set() and tries >= WRITE_TRIES_AT_STOP:
                    return False
                await asyncio.sleep(FIRST_PAUSE_S)
            else:
                self._pause_s = FIRST_PAUSE_S
                return True

    async def _wait_out(self, trouble: str) -> None:
        self._held_up = bool(trouble)
        await self._say(trouble)
        await self._pause()

    async def _say(self, why: str) -> None:
        if why == self._note:
            return
        self._note = why
        await self._rows(replay_rows.say, self._worker_id, why)
        if why:
            logger.warning("replay %d waits: %s", self._replay_id, why)

    async def _pause(self) -> None:
        await rest(random.uniform(self._pause_s / 2, self._pause_s), self._stop, self._lease.changed)  # noqa: S311
        self._pause_s = min(self._pause_s * 2, LONGEST_PAUSE_S)

    async def _on_lane(self, function: Callable[..., R], *args: Any) -> R:
        return await self._writing.run(connecting.on_kept, function, self._replay_id, *args)

    async def _rows(self, function: Callable[..., R], *args: Any) -> R:
        return await _in_kept_database(function, self._replay_id, *args)

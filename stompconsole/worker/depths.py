"""How much waits in the queues of all consumers, asked every few seconds by the one worker that leads.

Each broker is asked on a thread of its own, so that one that does not answer holds up no other; while it has not
answered it is not asked again. One that does not tell is asked less and less often, up to once a minute: on ActiveMQ
without the plugin each question is a message that waits for its end.
"""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass

from stompconsole.brokers.depths import Depth, unknown
from stompconsole.conf import settings_now
from stompconsole.deadletters.lanes import Lane
from stompconsole.delivery import depths
from stompconsole.delivery.senders import Senders
from stompconsole.worker import depth_rows
from stompconsole.worker.depth_rows import Round, Slot
from stompconsole.worker.outages import DATABASE_AWAY
from stompconsole.worker.registry import Registry

logger = logging.getLogger(__name__)

ANSWER_LIMIT_S = 20.0
"""How long one broker may take, a slow connect and a slow answer included, until it is said that it does not answer."""

LONGEST_PAUSE_S = 60.0
CLOSE_LIMIT_S = 0.2


@dataclass(slots=True)
class _Asked:
    """One broker: the thread on which it is asked, whether it is now, when it may be again."""

    lane: Lane
    busy: bool = False
    again_at: float = 0.0
    pause_s: float = 0.0


class DepthReader:
    """A side task of every worker; only the leading one's does something."""

    def __init__(self, worker_id: uuid.UUID, worker_name: str, senders: Senders) -> None:
        self._registry = Registry(worker_id)
        self._rows = Lane("depths")
        self._asked: dict[int, _Asked] = {}

    def nudge(self) -> None:
        """A definition has changed: its depth comes with the next round, there is no hurry."""

    async def run(self, stop: asyncio.Event) -> None:
        """Ask, round after round, until ``stop`` is set."""
        asking: set[asyncio.Task[None]] = set()
        try:
            while not stop.is_set():
                for each in await self._due():
                    task = asyncio.create_task(self._ask(each), name=f"depths of {each.broker}")
                    asking.add(task)
                    task.add_done_callback(asking.discard)
                with suppress(TimeoutError):
                    async with asyncio.timeout(settings_now().depths_every_s):
                        await stop.wait()
        finally:
            for task in asking:
                task.cancel()
            for lane in [self._rows, *(asked.lane for asked in self._asked.values())]:
                lane.close(CLOSE_LIMIT_S)

    async def _due(self) -> list[Round]:
        """The brokers to ask now; none in a worker that does not lead."""
        try:
            if not await self._rows.run(self._registry.leads, settings_now().stale_after_s):
                return []
            rounds = await self._rows.run(depth_rows.rounds)
        except DATABASE_AWAY as error:
            logger.info("depths are not read: %s", error)
            return []
        self._forget({each.broker_id for each in rounds})
        return [each for each in rounds if self._may_ask(each)]

    def _forget(self, there: set[int]) -> None:
        for gone in self._asked.keys() - there:
            self._asked.pop(gone).lane.close(0.0)

    def _may_ask(self, each: Round) -> bool:
        asked = self._asked.setdefault(each.broker_id, _Asked(Lane(f"depths of {each.broker}")))
        return not asked.busy and time.monotonic() >= asked.again_at

    async def _ask(self, each: Round) -> None:
        asked = self._asked[each.broker_id]
        asked.busy = True
        try:
            found = await self._answer(asked, each)
            self._pace(asked, found)
            await self._rows.run(depth_rows.write, found)
        except DATABASE_AWAY as error:
            logger.info("depths of %s are not written: %s", each.broker, error)
        except Exception:
            # A bug of ours, or an answer nobody thought of: the other brokers must not go without.
            logger.exception("reading the depths of %s failed", each.broker)
        finally:
            asked.busy = False

    async def _answer(self, asked: _Asked, each: Round) -> list[tuple[Slot, Depth]]:
        if each.question is None:
            return _none(each, each.problem)
        answer = asyncio.ensure_future(asked.lane.run(depths.read, each.question))
        done, _ = await asyncio.wait([answer], timeout=ANSWER_LIMIT_S)
        if not done:
            await self._rows.run(depth_rows.write, _none(each, f"the broker did not answer in {ANSWER_LIMIT_S:g} s"))
        # Its thread is let finish: a broker is asked by one at a time.
        return each.rows_of(await answer)

    def _pace(self, asked: _Asked, found: Iterable[tuple[Slot, Depth]]) -> None:
        """When it may be asked again: at every round while it tells, else ever later."""
        every_s = settings_now().depths_every_s
        if any(depth.waiting is not None for _, depth in found):
            asked.pause_s = asked.again_at = 0.0
            return
        asked.pause_s = min(max(2 * asked.pause_s, every_s), max(LONGEST_PAUSE_S, every_s))
        # A little earlier than it comes to: rounds are not on the dot.
        asked.again_at = time.monotonic() + 0.9 * asked.pause_s


def _none(each: Round, reason: str) -> list[tuple[Slot, Depth]]:
    return each.rows_of(dict.fromkeys((slot.wanted for slot in each.slots), unknown(reason)))

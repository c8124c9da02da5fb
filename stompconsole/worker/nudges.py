"""Nudges: "something has changed, look now", from whoever saves a row to every worker, over the channel layer.

A hint and nothing more: a worker polls as well, so a nudge that is lost costs one poll. Therefore nothing here raises,
nobody waits long, and a channel layer that is down is said once.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Any

from asgiref.sync import async_to_sync
from channels.layers import get_channel_layer
from django.db import transaction

logger = logging.getLogger(__name__)

CHANNEL = "stomp"
"""The channel of ``runworker stomp``: what is sent to it nudges one of the workers."""

GROUP = "stompconsole.workers"
MESSAGE = {"type": "stomp.nudge"}

SEND_LIMIT_S = 0.5
"""How long the request that saved a row may be held up."""

LEFT_ALONE_S = 5.0
"""After a failure nobody tries for this long: a layer that does not answer must not cost every request its limit."""

JOIN_EVERY_S = 60.0
"""Layers forget groups: when they expire, when Redis is restarted."""

REJOIN_PAUSE_S = 0.05
FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 10.0


class _Layer:
    """Whether the channel layer works, as this process has last seen it."""

    def __init__(self) -> None:
        self.quiet_until_s = 0.0
        self.failed = False

    def failure(self, what: str, error: BaseException) -> None:
        """Say it the first time."""
        self.quiet_until_s = time.monotonic() + LEFT_ALONE_S
        log = logger.debug if self.failed else logger.warning
        log("%s: %s; workers see changes at their next poll", what, str(error) or type(error).__name__)
        self.failed = True

    def success(self) -> None:
        if self.failed:
            logger.info("the channel layer works again")
        self.failed = False


_sending = _Layer()


def nudge() -> None:
    """Wake every worker, as far as the channel layer reaches them. Never raises; takes at most SEND_LIMIT_S."""
    layer = get_channel_layer()
    if layer is None or time.monotonic() < _sending.quiet_until_s:
        return
    try:
        async_to_sync(_send)(layer)
    except Exception as error:  # noqa: BLE001 - each kind of layer has errors of its own, and a nudge is only a hint
        _sending.failure("workers could not be nudged", error)
    else:
        _sending.success()


def nudge_on_commit() -> None:
    """The same once the current transaction is committed; at once outside of one."""
    transaction.on_commit(nudge, robust=True)


async def _send(layer: Any) -> None:
    async with asyncio.timeout(SEND_LIMIT_S):
        await layer.group_send(GROUP, dict(MESSAGE))


class NudgeListener:
    """Hears the nudges for one worker: those for all, and those that came to the channel itself."""

    def __init__(self, layer: Any, heard: Callable[[], None]) -> None:
        self._layer = layer
        self._heard = heard
        self._state = _Layer()
        self._own = ""
        self._joined = False

    async def run(self) -> None:
        """Listen for ever; a layer that is down is tried again and again."""
        pause_s = FIRST_PAUSE_S
        while True:
            self._joined = False
            try:
                await self._listen()
            except Exception as error:  # noqa: BLE001 - each kind of layer has errors of its own; polling goes on
                if self._joined and type(error).__name__ == "TimeoutError":
                    # Nothing came for a while: redis-py 8 gives up reading before channels_redis does (its issue 422).
                    await asyncio.sleep(REJOIN_PAUSE_S)
                    continue
                self._state.failure("nudges can't be heard", error)
            pause_s = FIRST_PAUSE_S if self._joined else min(pause_s * 2, LONGEST_PAUSE_S)
            await asyncio.sleep(pause_s)

    async def _listen(self) -> None:
        # One channel for good: layers keep those that have left a group for a day.
        self._own = self._own or await self._layer.new_channel()
        await self._layer.group_add(GROUP, self._own)
        self._joined = True
        self._state.success()
        # What was sent while nobody listened may be lost.
        self._heard()
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._hear(self._own))
                group.create_task(self._hear(CHANNEL))
                group.create_task(self._stay())
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from None

    async def _hear(self, channel: str) -> None:
        while True:
            message = await self._layer.receive(channel)
            if message.get("type") != MESSAGE["type"]:
                logger.warning("a message of type %r on channel %s is ignored", message.get("type"), channel)
                continue
            self._heard()

    async def _stay(self) -> None:
        while True:
            await asyncio.sleep(JOIN_EVERY_S)
            await self._layer.group_add(GROUP, self._own)

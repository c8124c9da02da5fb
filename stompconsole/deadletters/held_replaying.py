"""Replaying dead letters whose bodies are not stored: pass after pass over their holding queues, until all were sent.

Owns when it is given up: when some passes in a row have met nothing of the replay, its rest is skipped with that
reason, and the dead letters stay. How a message is sent, and what is written down of it, is the engine's.
"""

from __future__ import annotations

import asyncio
import uuid
from collections import Counter
from collections.abc import Awaitable, Collection, Mapping
from typing import Protocol

from channels.db import database_sync_to_async

from stompconsole.deadletters import portions, replay_rows
from stompconsole.deadletters.held_pass import HeldPass
from stompconsole.deadletters.portions import Held, Portion
from stompconsole.deadletters.unconfirmed import Results
from stompconsole.delivery.senders import Senders
from stompconsole.models import ReplayItem, ReplayItemState

PASSES_IN_VAIN = 5
"""Passes that may meet nothing of a replay before the rest of it is skipped: another pass may have it in hand."""


class Carrying(Protocol):
    """What is needed of the replay that is carried out."""

    @property
    def may_send(self) -> bool:
        """Whether it is running, and ours."""

    def allowance(self) -> Awaitable[int]:
        """How many may be sent now; 0 when none may, after a rest."""

    def send_portion(self, portion: Portion) -> Awaitable[Results]:
        """Send, and write down what came of it."""


class HeldReplaying:
    """The holding queues of one replay."""

    def __init__(self, replay_id: int, senders: Senders) -> None:
        self._replay_id = replay_id
        self._senders = senders
        self._in_vain: Counter[str] = Counter()

    async def send(self, queues: Collection[Held], carrying: Carrying) -> dict[str, str]:
        """A pass over each; by broker what stood in the way, or that some were not met yet."""
        trouble: dict[str, str] = {}
        for held in sorted(queues, key=lambda held: (held.broker.name, held.destination)):
            if not carrying.may_send:
                break
            trouble |= await self._pass(held, carrying) or await self._missing(held, carrying)
        return trouble

    async def _pass(self, held: Held, carrying: Carrying) -> dict[str, str]:
        going = HeldPass(self._replay_id, held.broker, held.destination, self._senders.of(held.broker))
        going.start()
        try:
            while carrying.may_send:
                if not (most := await carrying.allowance()):
                    continue
                taken = await asyncio.to_thread(going.take, most)
                if taken.trouble:
                    return {held.broker.name: taken.trouble}
                if taken.over:
                    break
                if taken.bodies and (stuck := await self._send(held, going, taken.bodies, carrying)):
                    return stuck
        finally:
            await asyncio.to_thread(going.end)
        return {}

    async def _send(
        self, held: Held, going: HeldPass, bodies: Mapping[uuid.UUID, bytes], carrying: Carrying
    ) -> dict[str, str]:
        portion = await database_sync_to_async(portions.portion_of_held)(self._replay_id, bodies)
        results = await carrying.send_portion(portion)
        await asyncio.to_thread(going.settle, results.sent)
        if results.sent:
            self._in_vain[held.destination] = 0
        trouble: dict[str, str] = portion.trouble | results.trouble
        return trouble

    async def _missing(self, held: Held, carrying: Carrying) -> dict[str, str]:
        if not carrying.may_send:
            return {}
        left = await database_sync_to_async(_still_held)(self._replay_id, held.destination)
        if not left:
            return {}
        self._in_vain[held.destination] += 1
        if self._in_vain[held.destination] < PASSES_IN_VAIN:
            return {held.broker.name: f"{len(left)} messages were not met in {held.destination} yet"}
        note = f"Its message was not found in {held.destination} on {held.broker.name}: is it still there?"
        await database_sync_to_async(replay_rows.record)(self._replay_id, [], [(pk, note) for pk in left])
        return {}


def _still_held(replay_id: int, destination: str) -> list[uuid.UUID]:
    items = ReplayItem.objects.filter(replay_id=replay_id, state=ReplayItemState.WAITING)
    return list(items.filter(dead_letter__held=destination).values_list("dead_letter_id", flat=True))

"""Carries out a worker's plans, one action after another: leases through the database, runners in the slots."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from uuid import UUID

from stompconsole.deadletters.lanes import Lane
from stompconsole.worker import plan
from stompconsole.worker.definitions import Definitions
from stompconsole.worker.events import Events
from stompconsole.worker.leases import Lease, Leases
from stompconsole.worker.sharing import Memory, Patience
from stompconsole.worker.slots import Slots
from stompconsole.worker.wanted import RunSpec, SlotKey


class Reconciler:
    """Brings what runs into line with what should. Raises what the database raises: the next try starts anew."""

    def __init__(
        self,
        definitions: Definitions,
        leases: Leases,
        slots: Slots,
        events: Events,
        *,
        lane: Lane,
        patience: Patience,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._definitions = definitions
        self._leases = leases
        self._slots = slots
        self._events = events
        self._lane = lane
        self._patience = patience
        self._clock = clock
        self._memory = Memory()
        self._lapsed: Mapping[SlotKey, UUID | None] = {}

    async def once(self) -> None:
        """Look, plan, act."""
        view = await self._lane.run(self._definitions.view)
        decided = plan.decide(view, self._slots.held(), self._memory, self._clock(), self._patience)
        self._memory = decided.memory
        self._lapsed = {row.key: row.holder for row in view.rows if row.free and row.holder not in {None, view.me}}
        for action in decided.actions:
            await self._carry_out(action)
        self._slots.try_now({each.consumer_id: each.tried_at for each in view.definitions if each.tried_at})

    async def release_ended(self, reason: str) -> None:
        """Give up the slots whose runners have ended, so that others need not wait for the rest."""
        for key, held in self._slots.held().items():
            if held.spec is None:
                await self._release(key, reason)

    async def _carry_out(self, action: plan.Action) -> None:
        match action:
            case plan.Ensure(keys=keys):
                await self._lane.run(self._leases.ensure, keys)
            case plan.Forget(keys=keys):
                for key in keys:
                    await self._lane.run(self._leases.forget, key)
            case plan.Acquire(key=key, spec=spec):
                await self._acquire(key, spec)
            case plan.Break(key=key, reason=reason):
                await self._break(key, reason)
            case plan.Start(key=key, spec=spec):
                self._slots.start(key, spec)
            case plan.Drain(key=key, reason=reason):
                self._slots.drain(key, reason)
            case plan.Release(key=key, reason=reason):
                await self._release(key, reason)

    async def _acquire(self, key: SlotKey, spec: RunSpec) -> None:
        if not self._hold(key, await self._lane.run(self._leases.acquire, key)):
            return
        self._slots.start(key, spec)
        lapsed = self._lapsed.get(key)
        if lapsed is not None:
            await self._lane.run(self._events.taken_over, key, lapsed)

    async def _break(self, key: SlotKey, reason: str) -> None:
        if self._hold(key, await self._lane.run(self._leases.hold_broken, key, reason)):
            await self._lane.run(self._events.broken, key, reason)

    def _hold(self, key: SlotKey, lease: Lease | None) -> bool:
        if lease is None:
            # Ours until now by our own account, another's by the database's.
            self._slots.drop(key)
            return False
        self._slots.hold(key, lease)
        return True

    async def _release(self, key: SlotKey, reason: str) -> None:
        lease = self._slots.lease(key)
        if lease is not None:
            await self._lane.run(self._leases.release, lease.pk, reason)
            self._slots.drop(key)

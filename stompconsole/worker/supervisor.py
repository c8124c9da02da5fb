"""One worker, from its first heart-beat to its last: reconcile, beat, guard, count, sweep, and what else has to run.

Asyncio, and no blocking call on the loop. All loops live and die together: one that fails ends the worker loudly,
for a worker that seems alive and does half of its work is the worst of states. A database that is away is no failure:
every loop tries again at its next turn, the guard stops what can no longer be leased, and all resumes when it is back.
"""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import ParamSpec, Protocol

from stompconsole.conf import Settings
from stompconsole.deadletters.lanes import Lane
from stompconsole.delivery.senders import Senders
from stompconsole.delivery.whereabouts import WHEREABOUTS
from stompconsole.errors import StompConsoleError
from stompconsole.models import WorkerState
from stompconsole.models.default_broker import keep_default_broker
from stompconsole.worker import housekeeping
from stompconsole.worker.definitions import Definitions, Handlers
from stompconsole.worker.events import Events, Notes
from stompconsole.worker.leases import Leases
from stompconsole.worker.outages import DATABASE_AWAY, Outage
from stompconsole.worker.reconciling import Reconciler
from stompconsole.worker.registry import Registry
from stompconsole.worker.reporting import Ledger, SlotReports, report_of
from stompconsole.worker.samplers import Samplers
from stompconsole.worker.sharing import Patience
from stompconsole.worker.slots import Slots
from stompconsole.worker.works import Runners

logger = logging.getLogger(__name__)

P = ParamSpec("P")

GUARD_EVERY_S = 0.2
LEAST_PAUSE_S = 0.05
"""Between two plans, however many nudges come: a burst of them is one reason to look."""

DRAIN_TURN_S = 0.1
RELEASE_LIMIT_S = 1.0
ABORT_LIMIT_S = 5.0
SENDERS_LIMIT_S = 2.0
FAREWELL_STEP_S = 3.0
LANE_LIMIT_S = 0.2
FAREWELL_LIMIT_S = 5 * FAREWELL_STEP_S + 3 * LANE_LIMIT_S
"""How long a worker may take for its farewell when nothing answers any more."""

STOPPING = "the worker is stopping"


class SideTask(Protocol):
    """Something else that runs in a worker for as long as it lives."""

    async def run(self, stop: asyncio.Event) -> None:
        """Run until ``stop`` is set, then return soon; to end in any other way ends the worker."""

    def nudge(self) -> None:
        """Something may have changed. Called on the loop."""


MakeSideTask = Callable[[uuid.UUID, str, Senders], SideTask]
"""Makes a side task from the worker's id, its name and its senders."""


class Supervisor:
    """Runs one worker. ``run`` it once."""

    def __init__(self, settings: Settings, side_tasks: Sequence[MakeSideTask] = ()) -> None:
        self._settings = settings
        self.worker_id = uuid.uuid4()
        self._registry = Registry(self.worker_id, settings.release)
        self.name = self._registry.name
        self._senders = Senders()
        self._side_tasks = [make(self.worker_id, self.name, self._senders) for make in side_tasks]
        self._nudged = asyncio.Event()
        self._leasing, self._planning, self._counting = Lane("leases"), Lane("plan"), Lane("counts")
        self._leases = Leases(self.worker_id, settings.lease_s)
        self._events = Events(self.name, settings.release)
        self._notes = Notes(self._events)
        handlers = Handlers(settings.handlers)
        self._samplers = Samplers()
        sampled = self._samplers if settings.sample_handled else None
        self._slots = Slots(
            Runners(handlers, self._senders, self.name, self._notes.breaker, sampled).make,
            drain_limit_s=settings.graceful_wait_s,
            ended=self._runner_ended,
        )
        self._reconciler = Reconciler(
            Definitions(self._registry, handlers, settings),
            self._leases,
            self._slots,
            self._events,
            lane=self._planning,
            patience=Patience(left_over_s=2 * settings.poll_interval_s, newcomer_s=5 * settings.poll_interval_s),
        )
        self._reports = SlotReports(self.worker_id)
        self._ledger = Ledger()
        self._outage = Outage()
        self._state = WorkerState.RUNNING
        self._reported_at_s = time.monotonic()
        self._loop: asyncio.AbstractEventLoop | None = None

    def nudge(self) -> None:
        """Look at the rows now rather than at the next turn. Called on the loop."""
        self._nudged.set()
        for task in self._side_tasks:
            task.nudge()

    async def run(self, stop: asyncio.Event) -> None:
        """Run until ``stop`` is set, then drain and return. Raises an ExceptionGroup when a part of it fails."""
        self._loop = asyncio.get_running_loop()
        WHEREABOUTS.tell(self._notes)
        try:
            if await self._registered(stop):
                logger.info("worker %s has started", self.name, extra={"worker": str(self.worker_id)})
                await self._live(stop)
        finally:
            WHEREABOUTS.tell_no_more(self._notes)
            await self._farewell()
        logger.info("worker %s has stopped", self.name, extra={"worker": str(self.worker_id)})

    async def _registered(self, stop: asyncio.Event) -> bool:
        """Make the worker's row, as long as it takes; false when asked to stop before that."""
        registering = asyncio.ensure_future(self._register())
        stopping = asyncio.ensure_future(stop.wait())
        try:
            await asyncio.wait([registering, stopping], return_when=asyncio.FIRST_COMPLETED)
            return not stop.is_set() and await registering
        finally:
            registering.cancel()
            stopping.cancel()

    async def _register(self) -> bool:
        while True:
            try:
                await self._leasing.run(self._registry.beat, self._state)
                await self._leasing.run(keep_default_broker)
                await self._leasing.run(self._events.started)
            except DATABASE_AWAY as error:
                self._outage.noticed(error)
                await asyncio.sleep(self._settings.poll_interval_s)
            else:
                return True

    async def _live(self, stop: asyncio.Event) -> None:
        ending = asyncio.Event()
        async with asyncio.TaskGroup() as group:

            def begin(
                name: str, part: Callable[P, Awaitable[None]], *args: P.args, **named: P.kwargs
            ) -> asyncio.Task[None]:
                return group.create_task(loudly(name, part, *args, **named), name=name)

            planning = begin("reconcile", self._reconciles)
            loops = [
                begin("heart-beat", self._every, self._settings.heartbeat_s, self._beat),
                begin("guard", self._guards),
                begin("counts", self._every, self._settings.heartbeat_s, self._count),
                begin("housekeeping", self._every, housekeeping.EVERY_S, self._sweep),
            ]
            side = [begin(type(task).__name__, _until_asked, task, ending) for task in self._side_tasks]
            await stop.wait()
            planning.cancel()
            ending.set()
            await self._drain()
            if side:
                await asyncio.wait(side, timeout=ABORT_LIMIT_S)
            for task in [*loops, *side]:
                task.cancel()

    async def _reconciles(self) -> None:
        while True:
            self._nudged.clear()
            await self._unless_away(self._reconciler.once)
            await asyncio.sleep(LEAST_PAUSE_S)
            await _wait(self._nudged, self._settings.poll_interval_s)

    async def _guards(self) -> None:
        pause_s = min(GUARD_EVERY_S, self._settings.lease_s / 50)
        while True:
            self._slots.guard()
            await asyncio.sleep(pause_s)

    async def _every(self, pause_s: float, step: Callable[[], Awaitable[None]]) -> None:
        """A step again and again, its own time included in the pause."""
        while True:
            started_s = time.monotonic()
            await self._unless_away(step)
            await asyncio.sleep(max(LEAST_PAUSE_S, started_s + pause_s - time.monotonic()))

    async def _unless_away(self, step: Callable[[], Awaitable[None]]) -> None:
        try:
            await step()
        except DATABASE_AWAY as error:
            self._outage.noticed(error)

    async def _beat(self) -> None:
        """Leases first: they are what must not be late."""
        asked = self._slots.leases()
        renewal = await self._leasing.run(self._leases.renew, asked)
        self._slots.renewed(renewal, asked)
        await self._leasing.run(self._registry.beat, self._state)
        self._outage.over()
        await self._report()

    async def _report(self) -> None:
        collected = self._slots.collect()
        now_s = time.monotonic()
        elapsed_s, self._reported_at_s = now_s - self._reported_at_s, now_s
        self._ledger.add(collected)
        await self._leasing.run(self._reports.write, [report_of(slot, elapsed_s) for slot in collected.slots])

    async def _count(self) -> None:
        if not self._notes.empty:
            await self._counting.run(self._notes.write)
        if not self._ledger.empty:
            await self._counting.run(self._ledger.write)
        if not self._samplers.empty:
            await self._counting.run(self._samplers.write)

    async def _sweep(self) -> None:
        await self._counting.run(housekeeping.sweep, self._registry, self._settings)

    async def _drain(self) -> None:
        """Stop intake and let handlers finish. Beats, counts and guard go on, the guard ends what takes too long."""
        logger.info("worker %s drains, for at most %g s", self.name, self._settings.graceful_wait_s)
        self._state = WorkerState.DRAINING
        self._slots.drain_all(STOPPING)
        limit_s = time.monotonic() + self._settings.graceful_wait_s + ABORT_LIMIT_S
        while self._slots.busy() and time.monotonic() < limit_s:
            with suppress(TimeoutError, *DATABASE_AWAY):
                async with asyncio.timeout(RELEASE_LIMIT_S):
                    await self._reconciler.release_ended(STOPPING)
            self._nudged.clear()
            await _wait(self._nudged, DRAIN_TURN_S)

    async def _farewell(self) -> None:
        """Leave nothing behind that others would have to wait for. Each step has a time limit and may fail."""
        self._slots.abort_all(STOPPING)
        self._ledger.add(self._slots.collect())
        await _last("close the senders", self._counting.run(self._senders.close, SENDERS_LIMIT_S))
        await _last("write the last counts", self._counting.run(self._ledger.write))
        if not self._notes.empty:
            await _last("tell of the last events", self._counting.run(self._notes.write))
        # Each on the lane whose calls it must come after: a lease won, a heart-beat written.
        await _last("give the leases up", self._planning.run(self._leases.release_all, STOPPING))
        await _last("say that it has stopped", self._leasing.run(self._stopped))
        for lane in (self._leasing, self._planning, self._counting):
            lane.close(LANE_LIMIT_S)

    def _stopped(self) -> None:
        if self._registry.stopped():
            self._events.stopped()

    def _runner_ended(self) -> None:
        """Called on a runner's thread."""
        if self._loop is not None:
            # The loop may be closed by the time an aborted runner ends.
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._nudged.set)


async def loudly(name: str, part: Callable[P, Awaitable[None]], *args: P.args, **named: P.kwargs) -> None:
    """Run a part that must not end in silence: what it raises is logged as critical and goes on."""
    try:
        await part(*args, **named)
    except Exception:
        logger.critical("%s has failed: the worker ends", name, exc_info=True)
        raise


async def _until_asked(task: SideTask, stop: asyncio.Event) -> None:
    await task.run(stop)
    if not stop.is_set():
        raise StompConsoleError(f"{type(task).__name__} has ended by itself")


async def _wait(event: asyncio.Event, seconds: float) -> None:
    # Here and elsewhere not wait_for: until Python 3.12 it swallows a cancellation that comes together with the event.
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()


async def _last(what: str, step: Awaitable[object]) -> None:
    try:
        async with asyncio.timeout(FAREWELL_STEP_S):
            await step
    except Exception as error:  # noqa: BLE001 - whatever stands in the way of one step, the next is to be tried
        logger.warning("the worker ends and could not %s: %s", what, repr(error) if str(error) else "no answer in time")

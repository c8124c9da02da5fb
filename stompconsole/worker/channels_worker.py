"""Channels' worker with a supervisor beside its listeners, an end on SIGTERM, and no listener that dies in silence.

Messages on the channel ``stomp`` are nudges for the supervisor; every other channel is Channels' own business.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, ClassVar

from channels.worker import Worker

from stompconsole.conf import settings_now
from stompconsole.deadletters.replaying import ReplayEngine
from stompconsole.deadletters.trying.engine import TrialEngine
from stompconsole.worker.broker_letters import BrokerLetters
from stompconsole.worker.depths import DepthReader
from stompconsole.worker.nudges import CHANNEL, NudgeListener
from stompconsole.worker.signals import StopSignals, end_within
from stompconsole.worker.supervisor import ABORT_LIMIT_S, FAREWELL_LIMIT_S, MakeSideTask, Supervisor, loudly

SPARE_S = 5.0
"""What the end of a process may take beyond the limits of its parts."""


class ChannelsWorker(Worker):  # type: ignore[misc]
    """Runs the listeners of some channels and, when ``stomp`` is one of them, the supervisor."""

    side_tasks: ClassVar[Sequence[MakeSideTask]] = (ReplayEngine, TrialEngine, DepthReader, BrokerLetters)
    """What runs in every worker beside its consumers."""

    def __init__(
        self, application: Any, channels: Sequence[str], channel_layer: Any, max_applications: int = 1000
    ) -> None:
        super().__init__(application, channels, channel_layer, max_applications)
        self._stop = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    def run(self) -> None:
        """Run until a signal comes. Raises what a listener or the supervisor has failed with."""
        limit_s = settings_now().graceful_wait_s + 2 * ABORT_LIMIT_S + FAREWELL_LIMIT_S + SPARE_S
        with StopSignals(self._asked_to_stop, limit_s=limit_s):
            try:
                super().run()
            except BaseException:
                end_within(SPARE_S)
                raise

    async def handle(self) -> None:
        """All listeners and the supervisor, until asked to stop; the first to fail ends all."""
        self._loop = asyncio.get_running_loop()
        async with asyncio.TaskGroup() as group:
            listeners = [
                group.create_task(loudly(f"listener of {channel}", self.listener, channel))
                for channel in self.channels
                if channel != CHANNEL
            ]
            if CHANNEL in self.channels:
                supervisor = Supervisor(settings_now(), self.side_tasks)
                listeners.append(group.create_task(NudgeListener(self.channel_layer, supervisor.nudge).run()))
                group.create_task(supervisor.run(self._stop))
            await self._stop.wait()
            for listener in listeners:
                listener.cancel()

    def _asked_to_stop(self) -> None:
        """Called in a signal handler, perhaps before the loop runs."""
        if self._loop is None:
            self._stop.set()
        else:
            self._loop.call_soon_threadsafe(self._stop.set)

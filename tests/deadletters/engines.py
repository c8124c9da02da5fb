"""Replay engines for tests: in a thread of the test, or in a process of its own that can be killed."""

from __future__ import annotations

import asyncio
import sys
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from asgiref.sync import sync_to_async
from django.db import connection

from stompconsole.deadletters.replaying import ReplayEngine
from stompconsole.delivery.senders import Senders
from stompconsole.worker.supervisor import MakeSideTask
from tests.deadletters.making import make_worker
from tests.support.processes import ManagedProcess, start

END_TIMEOUT_S = 20.0


class RunningEngine:
    """An engine in a thread with an event loop of its own."""

    def __init__(self, make: MakeSideTask = ReplayEngine) -> None:
        self._make = make
        self.worker = make_worker()
        self.senders = Senders()
        self.error: BaseException | None = None
        self._stop: asyncio.Event | None = None
        self._task: asyncio.Task[None] | None = None
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)
        self._thread.start()
        assert self._ready.wait(END_TIMEOUT_S)

    def stop(self) -> None:
        """Ask for an orderly end and wait for it."""
        assert self._stop is not None
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(END_TIMEOUT_S)
        assert not self._thread.is_alive(), "the engine must end"
        if self.error is not None:
            raise self.error

    def nudge(self) -> None:
        self._loop.call_soon_threadsafe(self._nudge)

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            try:
                runner.run(self._work())
            except BaseException as error:  # noqa: BLE001 - handed to the test, which raises it
                self.error = error
        self.senders.close(2.0)

    async def _work(self) -> None:
        self._stop = asyncio.Event()
        engine = self._make(self.worker.pk, "here:1", self.senders)
        self._nudge = engine.nudge
        self._ready.set()
        try:
            await engine.run(self._stop)
        finally:
            await sync_to_async(_close)()


def _close() -> None:
    connection.close()


@contextmanager
def running_engine(make: MakeSideTask = ReplayEngine) -> Iterator[RunningEngine]:
    engine = RunningEngine(make)
    try:
        yield engine
    finally:
        engine.stop()


def database_url() -> str:
    """The database of the test, as the environment of a process names it."""
    values: dict[str, Any] = connection.settings_dict
    if connection.vendor == "sqlite":
        return f"sqlite:///{values['NAME']}"
    login = f"{values['USER']}:{values['PASSWORD']}@" if values["USER"] else ""
    return f"postgres://{login}{values['HOST']}:{values['PORT']}/{values['NAME']}"


def start_engine(
    worker_id: uuid.UUID, lease_s: float, settings: str = "tests.settings", engine: str = "ReplayEngine"
) -> ManagedProcess:
    """An engine in a process of its own."""
    env = {"DJANGO_SETTINGS_MODULE": settings, "DATABASE_URL": database_url()}
    command = [sys.executable, "-m", "tests.deadletters.engine_process", str(worker_id), str(lease_s), engine]
    return start(command, env=env)

"""The worker's side of the nursery: starts it, gives it one item at a time, and ends it if it does not answer.

The child finds the team's code as this process does: by its module path and its settings module. Nothing waits
without a limit.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from contextlib import suppress

from django.conf import settings as django_settings

from stompconsole.deadletters.trying.nursery import ATTEMPT_SETUP_LIMIT_S, READY, Order
from stompconsole.deadletters.trying.verdict import Verdict
from stompconsole.errors import StompConsoleError

START_LIMIT_S = 60.0
"""Importing the project and all of its handlers."""

GRACE_S = 10.0
"""How much later than it should the nursery may answer: the machine may be busy."""

END_LIMIT_S = 1.0
MAX_LINE = 2**20
_BOOT = (
    "import json, sys; sys.path[:] = json.loads(sys.stdin.buffer.raw.readline());"
    " from stompconsole.deadletters.trying.nursery import main; main()"
)


class NurseryFailed(StompConsoleError):
    """Raised when handlers can't be tried at all, or the process for it has ended."""


class Nursery:
    """One child process, started when first needed, and anew after it was lost. For one task at a time."""

    def __init__(self) -> None:
        self._process: Process | None = None

    async def try_item(self, item_id: int, limit_s: float) -> Verdict:
        """Try one item; its handler may take so long. Raises NurseryFailed."""
        process = await self._started()
        assert process.stdin is not None
        with suppress(ConnectionError):
            process.stdin.write(Order(item_id=item_id, limit_s=limit_s).line())
            await process.stdin.drain()
        line = await self._answer(process, ATTEMPT_SETUP_LIMIT_S + limit_s + GRACE_S)
        try:
            return Verdict.from_line(line)
        except ValueError as error:
            await self.close()
            raise NurseryFailed(f"the process in which handlers are tried answered nonsense: {error}") from error

    async def close(self) -> None:
        """End it, and the handler it may be trying. Safe to repeat."""
        process, self._process = self._process, None
        if process is None:
            return
        # The end of its input has it end a fork that is a group of its own; the kill is for one that does not hear.
        assert process.stdin is not None
        process.stdin.close()
        await _ended(process)
        if process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await _ended(process)

    async def _started(self) -> Process:
        if self._process is not None and self._process.returncode is None:
            return self._process
        await self.close()
        try:
            self._process = process = await _spawned()
        except OSError as error:
            raise NurseryFailed(f"the process in which handlers are tried can't be started: {error}") from error
        assert process.stdin is not None
        process.stdin.write(json.dumps(sys.path).encode() + b"\n")
        if await self._answer(process, START_LIMIT_S) != READY:
            await self.close()
            raise NurseryFailed("the process in which handlers are tried did not start as it should")
        return process

    async def _answer(self, process: Process, limit_s: float) -> bytes:
        assert process.stdout is not None
        try:
            async with asyncio.timeout(limit_s):
                line = await process.stdout.readline()
        except (TimeoutError, ValueError) as error:
            await self.close()
            raise NurseryFailed(f"the process in which handlers are tried did not answer in {limit_s:g} s") from error
        if not line:
            status = await process.wait()
            await self.close()
            raise NurseryFailed(
                f"the process in which handlers are tried ended with status {status}; the worker's log says more"
            )
        return line


async def _ended(process: Process) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(END_LIMIT_S):
            await process.wait()


async def _spawned() -> Process:
    module = os.environ.get("DJANGO_SETTINGS_MODULE") or getattr(django_settings, "SETTINGS_MODULE", None)
    if not module or not hasattr(os, "fork"):
        raise NurseryFailed(
            "handlers can't be tried here: it takes a settings module, which DJANGO_SETTINGS_MODULE names, and a"
            " system that can fork"
        )
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-u",
        "-c",
        _BOOT,
        stdin=PIPE,
        stdout=PIPE,
        limit=MAX_LINE,
        env={**os.environ, "DJANGO_SETTINGS_MODULE": module},
        # Ctrl-C is for the worker, which ends it.
        start_new_session=True,
    )

"""The demo's processes: started with a log each, watched, and ended together in the order of dependence."""

from __future__ import annotations

import ctypes
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

STOP_TIMEOUT_S = 15.0
"""How long a process may take to end itself before it is killed."""

_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True, slots=True)
class Child:
    """One process, and the file its output goes to."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    def tail(self, lines: int = 15) -> str:
        """The end of its output."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])


class Family:
    """Children of this process. None outlives it, however it ends."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self._environment = dict(environment)
        self.children: list[Child] = []

    def start(self, name: str, arguments: Sequence[str]) -> Child:
        """Start ``python ARGUMENTS`` with its output in ``<folder>/<name>.log``."""
        log = self.folder / f"{name}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=self._environment,
                # A session of its own: Ctrl-C reaches the parent alone, which ends the others in order.
                start_new_session=True,
                # Safe: no thread has been started yet, the first one comes with the traffic.
                preexec_fn=_die_with_parent,  # noqa: PLW1509
            )
        child = Child(name, process, log)
        self.children.append(child)
        return child

    def ended(self) -> Child | None:
        """A child that has ended by itself, if any."""
        return next((child for child in self.children if child.process.poll() is not None), None)

    def stop(self) -> None:
        """End the children, the last started first; kill what does not end in time."""
        for child in reversed(self.children):
            with suppress(ProcessLookupError):
                child.process.terminate()
            _wait(child.process, STOP_TIMEOUT_S)
        self.children.clear()


def _wait(process: subprocess.Popen[bytes], timeout_s: float) -> None:
    try:
        process.wait(timeout_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(timeout_s)


def _die_with_parent() -> None:
    """Have the kernel end the child when the parent is killed; elsewhere than on Linux it is left running."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def wait_for_line(child: Child, beginning: str, timeout_s: float) -> str:
    """The first line of a child's output that begins so. Raises TimeoutError, ChildProcessError with its output."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        for line in child.log.read_text(errors="replace").splitlines():
            if line.startswith(beginning):
                return line
        if child.process.poll() is not None:
            raise ChildProcessError(f"{child.name} ended at once:\n{child.tail()}")
        time.sleep(0.05)
    raise TimeoutError(f"{child.name} was not ready in {timeout_s:g} s:\n{child.tail()}")

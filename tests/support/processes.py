"""Processes that tests start: each in a group of its own, its output in a file, always ended.

Whatever a test forgets is ended at the exit of the run; if the run is killed, by ``reaper.py``.
"""

from __future__ import annotations

import atexit
import itertools
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path

from tests.support.waiting import until

ROOT = Path(__file__).resolve().parents[2]
"""The checkout."""

_numbers = itertools.count(1)
_running: set[ManagedProcess] = set()

OF_NO_MAKE = {"MAKEFLAGS": "", "MAKEOVERRIDES": "", "MAKELEVEL": "0", "ARGS": ""}
"""The environment of a make that a test runs: what the make around the tests was told is not for it."""


class ManagedProcess:
    """One started process and its group. Use it as a context manager to have it killed at the end of the block."""

    def __init__(self, popen: subprocess.Popen[bytes], output: Path) -> None:
        self._popen = popen
        self.output = output
        self.pid = popen.pid
        _running.add(self)
        _tell_reaper("+", self.pid)

    def __enter__(self) -> ManagedProcess:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.kill()

    @property
    def returncode(self) -> int | None:
        """The exit status, negative for a signal; None while it runs."""
        return self._popen.poll()

    def text(self) -> str:
        """What it has written so far, stdout and stderr together."""
        return self.output.read_text(encoding="utf-8", errors="replace")

    def wait_for_line(self, pattern: str, timeout_s: float = 30.0) -> re.Match[str]:
        """Wait until a line of the output matches; raises AssertionError with the output, also if it ends first."""
        regex = re.compile(pattern, re.MULTILINE)
        found: list[re.Match[str]] = []

        def seen_or_ended() -> bool:
            # The status is asked for first: what is written before the end must still be read.
            ended = self.returncode is not None
            if match := regex.search(self.text()):
                found.append(match)
            return bool(found) or ended

        try:
            until(seen_or_ended, timeout_s, f"a line like {pattern!r}")
        except AssertionError as error:
            raise AssertionError(f"{error}; it wrote:\n{self.text()}") from None
        if not found:
            raise AssertionError(f"it ended with {self.returncode} before a line like {pattern!r}:\n{self.text()}")
        return found[0]

    def wait(self, timeout_s: float = 30.0) -> int:
        """Wait for its end and return the exit status; raises AssertionError with the output."""
        try:
            status = self._popen.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"process {self.pid} still runs after {timeout_s:g} s:\n{self.text()}") from None
        self._end_group()
        return status

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the process itself, as an operator would."""
        self._popen.send_signal(number)

    def terminate(self, timeout_s: float = 30.0) -> int:
        """SIGTERM, then wait for the end; returns the exit status."""
        self.signal(signal.SIGTERM)
        return self.wait(timeout_s)

    def interrupt_group(self) -> None:
        """SIGINT to every process of the group, as Ctrl-C in a terminal does."""
        os.killpg(self.pid, signal.SIGINT)

    def group_is_alive(self) -> bool:
        """Whether any process of the group is left."""
        self._popen.poll()
        try:
            os.killpg(self.pid, 0)
        except ProcessLookupError:
            return False
        return True

    def kill(self) -> int:
        """SIGKILL to the whole group, then wait; returns the exit status. Harmless when it has ended."""
        self._end_group()
        return self._popen.wait(10)

    def _end_group(self) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        _running.discard(self)
        _tell_reaper("-", self.pid)


def start(
    command: Sequence[str | Path],
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path = ROOT,
    output: Path | None = None,
) -> ManagedProcess:
    """Start ``command`` with ``env`` added to ours; its output goes to the file ``output``, else to one made up."""
    path = output or _output_folder() / f"{next(_numbers)}.txt"
    with path.open("ab") as sink:
        popen = subprocess.Popen(
            [str(part) for part in command],
            cwd=cwd,
            env={**os.environ, "PYTHONUNBUFFERED": "1", **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    return ManagedProcess(popen, path)


def start_manage(
    *arguments: str, env: Mapping[str, str] | None = None, cwd: Path = ROOT, output: Path | None = None
) -> ManagedProcess:
    """Start ``python manage.py <arguments>`` with the project's own settings, not those of the tests."""
    own = {"DJANGO_SETTINGS_MODULE": "stompconsole.project.settings", **(env or {})}
    return start([sys.executable, "manage.py", *arguments], env=own, cwd=cwd, output=output)


@cache
def _output_folder() -> Path:
    return Path(tempfile.mkdtemp(prefix="stompconsole-output-"))


@cache
def _reaper() -> subprocess.Popen[str]:
    script = Path(__file__).with_name("reaper.py")
    return subprocess.Popen(
        [sys.executable, str(script)], stdin=subprocess.PIPE, text=True, bufsize=1, start_new_session=True
    )


def _tell_reaper(sign: str, group: int) -> None:
    pipe = _reaper().stdin
    assert pipe is not None
    pipe.write(f"{sign} {group}\n")
    pipe.flush()


@atexit.register
def _end_all() -> None:
    for process in list(_running):
        process.kill()
    if _reaper.cache_info().currsize:
        reaper = _reaper()
        assert reaper.stdin is not None
        reaper.stdin.close()
        reaper.wait(10)
    if _output_folder.cache_info().currsize:
        shutil.rmtree(_output_folder(), ignore_errors=True)

"""Processes that tests start never outlive the run."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress

import pytest

from tests.support import processes
from tests.support.waiting import until

WAIT_FOR_EVER = "import signal; print('ready'); signal.pause()"


def _is_alive(pid: int) -> bool:
    with suppress(ProcessLookupError):
        os.kill(pid, 0)
        return True
    return False


def test_a_line_that_was_written_is_found() -> None:
    with processes.start([sys.executable, "-c", "print('port 4711')"]) as process:
        assert process.wait_for_line(r"^port (\d+)$")[1] == "4711"


def test_an_end_before_the_line_is_told_with_the_output() -> None:
    command = [sys.executable, "-c", "raise SystemExit('no such thing')"]
    with processes.start(command) as process, pytest.raises(AssertionError, match="no such thing"):
        process.wait_for_line("^ready$")


def test_a_process_is_killed_at_the_end_of_its_block() -> None:
    with processes.start([sys.executable, "-c", WAIT_FOR_EVER]) as process:
        process.wait_for_line("^ready$")

    assert process.returncode == -signal.SIGKILL
    assert not process.group_is_alive()


@pytest.mark.long
def test_a_run_that_is_killed_leaves_no_process_behind() -> None:
    script = (
        "import sys, signal\n"
        "from tests.support import processes\n"
        f"process = processes.start([sys.executable, '-c', {WAIT_FOR_EVER!r}])\n"
        "process.wait_for_line('^ready$')\n"
        "print('started', process.pid)\n"
        "signal.pause()\n"
    )
    with processes.start([sys.executable, "-c", script]) as run:
        started = int(run.wait_for_line(r"^started (\d+)$")[1])

        run.signal(signal.SIGKILL)
        run.wait(10)

        until(lambda: not _is_alive(started), what="the process it started has ended")

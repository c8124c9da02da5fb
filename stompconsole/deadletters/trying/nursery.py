"""The child process of a worker in which handlers are tried: it has imported them, and forks once for each attempt.

A fork can be ended whatever it does, takes all it has begun with it, and its open transactions are rolled back. Orders
come in at stdin, a line of JSON each, one at a time; each is answered by the line of a verdict at stdout. The end of
stdin is the end of the worker: then nothing may go on. Refuses threads: what forks must have none.
"""

from __future__ import annotations

import json
import os
import select
import signal
import sys
import time
import traceback
from contextlib import suppress
from dataclasses import dataclass, replace

import django

from stompconsole.delivery.disposition import Failure

ATTEMPT_SETUP_LIMIT_S = 30.0
"""Connecting to the database and reading the dead letter, before the handler's own time begins."""

EXIT_LIMIT_S = 1.0
LOOK_EVERY_S = 0.2
ALARM_GRACE_S = 5.0
"""So much after its limit a fork ends itself, should nobody be left to end it."""

BEGUN = b"begun\n"
READY = b"ready\n"
_CHUNK = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """Try this item; its handler may take so long."""

    item_id: int
    limit_s: float

    def line(self) -> bytes:
        """As one line."""
        return json.dumps({"item_id": self.item_id, "limit_s": self.limit_s}).encode() + b"\n"

    @classmethod
    def from_line(cls, line: bytes) -> Order:
        """Raises ValueError, TypeError for what is none."""
        return cls(**json.loads(line))


class Kept:
    """Output of any length, of which the start and the end are kept."""

    def __init__(self, limit: int) -> None:
        self._half = limit // 2
        self._start = bytearray()
        self._end = bytearray()
        self._left_out = 0

    def add(self, chunk: bytes) -> None:
        """Some more of it."""
        room = self._half - len(self._start)
        self._start += chunk[:room]
        self._end += chunk[room:]
        if (over := len(self._end) - self._half) > 0:
            self._left_out += over
            del self._end[:over]

    def text(self) -> str:
        """As text, with how much was left out."""
        gap = f"\n… {self._left_out:,} bytes left out …\n" if self._left_out else ""
        start, end = bytes(self._start), bytes(self._end)
        if gap:
            return start.decode(errors="replace") + gap + end.decode(errors="replace")
        return (start + end).decode(errors="replace")


def main() -> None:
    """Run until stdin ends. ``stompconsole.deadletters.trying.process`` starts it."""
    # The answers have a way of their own: what modules print while they are imported must not get among them.
    answers = os.dup(1)
    os.dup2(2, 1)
    django.setup()
    orders = os.fdopen(0, "rb", buffering=0, closefd=False)
    _write(answers, READY)
    while line := orders.readline():
        order = Order.from_line(line)
        _write(answers, Attempt(order, answers).watched())
    os._exit(0)


class Attempt:
    """One fork, from its beginning to its end."""

    def __init__(self, order: Order, answers: int) -> None:
        self._order = order
        # Models can be imported once Django is set up.
        from stompconsole.deadletters.trying.verdict import MAX_OUTPUT

        self._output = Kept(MAX_OUTPUT)
        self._told = bytearray()
        self._deadline = time.monotonic() + ATTEMPT_SETUP_LIMIT_S
        self._begun = False
        self._answers = answers

    def watched(self) -> bytes:
        """Fork, watch, end it; the line of its verdict."""
        from django.db import connections

        # Two processes must not talk over one connection.
        connections.close_all()
        (output, output_end), (told, told_end) = os.pipe(), os.pipe()
        pid = os.fork()
        if pid == 0:
            for fd in (output, told, self._answers):
                os.close(fd)
            _in_fork(self._order, output_end, told_end)
        os.close(output_end)
        os.close(told_end)
        try:
            timely = self._watch(output, told, pid)
            status = _ended(pid, EXIT_LIMIT_S if timely else 0.0)
            self._drain(output)
        finally:
            os.close(output)
            os.close(told)
        return self._line(status, timely=timely)

    def _watch(self, output: int, told: int, pid: int) -> bool:
        """Until it has told its verdict or is gone; false when its time is up."""
        watched = {0, told, output}
        while (left_s := self._deadline - time.monotonic()) > 0:
            ready, _, _ = select.select(watched, [], [], min(left_s, LOOK_EVERY_S))
            if 0 in ready:
                # No order comes before this one is answered: the worker has ended.
                _kill(pid)
                os._exit(1)
            if output in ready and not self._printed(output):
                watched.discard(output)
            if told in ready and not self._heard(os.read(told, _CHUNK)):
                return True
            # What the handler has started may outlive it and hold the pipes open.
            if not ready and not _lives(pid):
                return True
        return False

    def _printed(self, output: int) -> bool:
        chunk = os.read(output, _CHUNK)
        self._output.add(chunk)
        return bool(chunk)

    def _heard(self, chunk: bytes) -> bool:
        """Take in what it tells; false when no more is to come."""
        self._told += chunk
        if not self._begun and self._told.startswith(BEGUN):
            self._begun = True
            self._deadline = time.monotonic() + self._order.limit_s
            del self._told[: len(BEGUN)]
        return bool(chunk) and not self._told.endswith(b"\n")

    def _drain(self, output: int) -> None:
        os.set_blocking(output, False)
        with suppress(BlockingIOError):
            while chunk := os.read(output, _CHUNK):
                self._output.add(chunk)

    def _line(self, status: int | None, *, timely: bool) -> bytes:
        from stompconsole.deadletters.trying import verdict
        from stompconsole.models import TrialItemState

        output = self._output.text()
        if self._told.endswith(b"\n"):
            return replace(verdict.Verdict.from_line(bytes(self._told)), output=output).line()
        if timely:
            found = verdict.failed(_death(status), None)
        elif self._begun:
            words = f"The handler had not returned after {self._order.limit_s:g} s, and was ended."
            found = verdict.Verdict(
                state=TrialItemState.TIMED_OUT, seconds=self._order.limit_s, error_type="timed out", error_message=words
            )
        else:
            found = verdict.skipped(f"It could not be read within {ATTEMPT_SETUP_LIMIT_S:g} s: is the database busy?")
        return replace(found, output=output).line()


def _in_fork(order: Order, output: int, told: int) -> None:
    """All that the fork does; it does not return."""
    try:
        # A group of its own, to be ended with all that the handler starts.
        os.setsid()
        signal.alarm(int(ATTEMPT_SETUP_LIMIT_S + order.limit_s + ALARM_GRACE_S))
        nothing = os.open(os.devnull, os.O_RDONLY)
        for source, target in ((nothing, 0), (output, 1), (output, 2)):
            os.dup2(source, target)
        from stompconsole.deadletters.trying.attempt import attempt

        line = attempt(order.item_id, lambda: _write(told, BEGUN)).line()
        sys.stdout.flush()
        sys.stderr.flush()
        _write(told, line)
    except BaseException:  # noqa: BLE001 - the fork must end here, or it would go on as its parent
        traceback.print_exc()
    finally:
        os._exit(0)


def _death(status: int | None) -> Failure:
    if status is None or status == 0:
        words = "the process ended before the handler had returned"
    elif status < 0:
        words = f"the process was ended by {signal.Signals(-status).name}"
    else:
        words = f"the handler ended the process, with status {status}"
    return Failure(error_type="process ended", message=f"{words}: in production it ends the whole worker")


def _ended(pid: int, patience_s: float) -> int | None:
    """End it and all it has started; its exit status, negative for a signal, None if it had to be ended."""
    until = time.monotonic() + patience_s
    while lives := _lives(pid):
        if time.monotonic() > until:
            break
        time.sleep(0.001)
    # Before it is reaped: until then nobody else can have its id.
    _kill(pid)
    _, status = os.waitpid(pid, 0)
    return None if lives else os.waitstatus_to_exitcode(status)


def _kill(pid: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def _lives(pid: int) -> bool:
    # Not reaped here: its status is wanted later.
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None


def _write(fd: int, line: bytes) -> None:
    while line:
        line = line[os.write(fd, line) :]

"""Commands called inside the test's process: to their end, or in a thread with a hand on them."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.core.management import call_command
from django.db import connections

from stompconsole.management.foreground import ForegroundCommand
from tests.support.waiting import until

IDLE_S = 0.5
"""Of silence that a test takes for an empty queue: the brokers are on this machine."""


def called(name: str, *arguments: str, **options: Any) -> str:
    """Run a command to its end; what it wrote. Raises CommandError, with what it wrote added."""
    out = io.StringIO()
    options = {"idle": IDLE_S, **options} if "until_empty" in options else options
    call_command(name, *arguments, stdout=out, **options)
    return out.getvalue()


class Called:
    """A command in a thread."""

    def __init__(self, command: ForegroundCommand, *arguments: str, **options: Any) -> None:
        self.error: BaseException | None = None
        self._command = command
        self._out = io.StringIO()
        self._thread = threading.Thread(target=self._run, args=arguments, kwargs=options, daemon=True)
        self._thread.start()

    def text(self) -> str:
        return self._out.getvalue()

    def wait_for(self, text: str, timeout_s: float = 20.0) -> None:
        """Wait until this is in what it wrote."""
        until(lambda: text in self.text() or self.error, timeout_s, f"{text!r} in {self.text()!r}")
        assert text in self.text(), self.text()

    def wait(self, timeout_s: float = 30.0) -> str:
        """Wait for its end; what it wrote. Raises what it raised."""
        self._thread.join(timeout_s)
        assert not self._thread.is_alive(), f"it has not ended: {self.text()}"
        if self.error is not None:
            raise self.error
        return self.text()

    def stop(self) -> str:
        """Have it end; what it wrote."""
        self._command.stop()
        return self.wait()

    def _run(self, *arguments: str, **options: Any) -> None:
        try:
            call_command(self._command, *arguments, stdout=self._out, **options)
        except BaseException as error:  # noqa: BLE001 - the test is told
            self.error = error
        finally:
            # Django's are per thread: nobody else would close this one.
            connections.close_all()


@contextmanager
def calling(command: ForegroundCommand, *arguments: str, **options: Any) -> Iterator[Called]:
    """Run a command in a thread, and end it with the block if it has not ended by itself."""
    running = Called(command, *arguments, **options)
    try:
        yield running
    finally:
        command.stop()
        running._thread.join(20)

"""SIGTERM, SIGINT and SIGQUIT: the first one asks for an orderly end, the second one ends the process at once."""

from __future__ import annotations

import faulthandler
import logging
import os
import signal
import sys
from collections.abc import Callable
from types import FrameType, TracebackType

logger = logging.getLogger(__name__)

HANDLED = tuple(signal.Signals[name] for name in ("SIGTERM", "SIGINT", "SIGQUIT") if hasattr(signal, name))
"""SIGQUIT is what some supervisors and images send to stop a process, and django-stomp took it so; Windows has none."""


class StopSignals:
    """While in this block, signals are ours. Only in the main thread.

    ``stop`` is called in a signal handler, so it must only set something. A process that has not ended
    ``limit_s`` seconds after the first signal writes what its threads are doing and exits with 1.
    """

    def __init__(self, stop: Callable[[], None], *, limit_s: float) -> None:
        self._stop = stop
        self._limit_s = limit_s
        self._asked = False
        self._before: dict[
            signal.Signals, signal.Handlers | Callable[[int, FrameType | None], object] | int | None
        ] = {}

    def __enter__(self) -> StopSignals:
        for number in HANDLED:
            self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        name = signal.Signals(number).name
        if self._asked:
            os.write(
                2, f"{name} for the second time: ending at once, what is in work goes back to the broker\n".encode()
            )
            os._exit(128 + number)
        self._asked = True
        os.write(2, f"{name}: finishing what is in work, once more ends at once\n".encode())
        end_within(self._limit_s)
        self._stop()


def end_within(limit_s: float) -> None:
    """If this process has not ended in ``limit_s`` seconds, write what its threads are doing and exit with 1."""
    # A C thread of its own: it works even where Python waits, such as for a thread to be joined at exit.
    faulthandler.dump_traceback_later(limit_s, exit=True, file=sys.__stderr__ or 2)

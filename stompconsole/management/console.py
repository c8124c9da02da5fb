"""What a foreground command writes for whoever watches it: what happens, a line each, and how far it is.

Owns the lines. On a terminal the progress is one line that is written anew; elsewhere it is a line every few seconds.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from django.core.management.base import OutputWrapper

LINE_EVERY_S = 5.0
REWRITE_EVERY_S = 0.2
_TO_THE_START, _CLEAR_THE_REST = "\r", "\x1b[K"


class Console:
    """Writes to a command's stdout. For one thread."""

    def __init__(self, out: OutputWrapper, clock: Callable[[], float] = time.monotonic) -> None:
        self._out = out
        self._clock = clock
        self._is_terminal = out.isatty()
        self._shown = ""
        self._shown_at = clock()
        self._line_is_open = False

    def say(self, text: str) -> None:
        """One line, at once."""
        self._end_line()
        self._out.write(text)
        self._out.flush()

    def progress(self, text: str) -> None:
        """How far it is: written if it has changed and the last time was long enough ago."""
        every_s = REWRITE_EVERY_S if self._is_terminal else LINE_EVERY_S
        if text == self._shown or self._clock() - self._shown_at < every_s:
            return
        self._shown, self._shown_at = text, self._clock()
        if self._is_terminal:
            self._out.write(f"{_TO_THE_START}{text}{_CLEAR_THE_REST}", ending="")
            self._line_is_open = True
        else:
            self._out.write(text)
        self._out.flush()

    def _end_line(self) -> None:
        if self._line_is_open:
            self._out.write("")
            self._line_is_open = False

"""Withholding: in a process that only tries handlers nothing is sent, and what would have been is counted.

Owns whether this process withholds; for good once it does, in every thread, since a handler may use any. Refuses
nothing to the caller: ``publish`` returns as if the broker had it, for the handler is to go on after it.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Protocol


class _Addressed(Protocol):
    @property
    def destination(self) -> str: ...


class _Withheld:
    """What this process has not sent."""

    def __init__(self) -> None:
        self.on = False
        self.counts: Counter[str] = Counter()
        # Handlers publish from threads of their own.
        self.lock = threading.Lock()


_of_this_process = _Withheld()


def withhold() -> None:
    """From now on this process sends nothing."""
    _of_this_process.on = True


def is_withheld() -> bool:
    """Whether this process sends nothing."""
    return _of_this_process.on


def note(messages: Iterable[_Addressed]) -> None:
    """These would have been sent."""
    with _of_this_process.lock:
        _of_this_process.counts.update(message.destination for message in messages)


def noted() -> Mapping[str, int]:
    """How many would have been sent, by destination."""
    with _of_this_process.lock:
        return dict(_of_this_process.counts)

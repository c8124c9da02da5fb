"""Waiting without sleeping blindly: poll for a condition under a time limit."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

POLL_INTERVAL_S = 0.01


def until(predicate: Callable[[], T], timeout_s: float = 10.0, what: str | Callable[[], str] = "the condition") -> T:
    """Poll ``predicate`` until what it gives is true, and return that. Raises AssertionError naming ``what``, which is
    asked for then where it can be called."""
    deadline = time.monotonic() + timeout_s
    while not (value := predicate()):
        if time.monotonic() > deadline:
            raise AssertionError(
                f"{what() if callable(what) else what}: not within {timeout_s:g} s (last seen: {value!r})"
            )
        time.sleep(POLL_INTERVAL_S)
    return value

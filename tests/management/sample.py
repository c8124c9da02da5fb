"""What tests of ``pubsub`` let it call."""

from __future__ import annotations

import sys
import threading
import time
from pathlib import Path
from typing import Any

not_callable = 7

called = threading.Event()


def keep(payload: Any) -> None:
    """Takes anything, and lets a test in the same process know."""
    called.set()


def say(payload: Any) -> None:
    """Prints what it was given."""
    print(f"got {payload.body} {'with' if payload.headers.get('correlation-id') else 'without'} id", flush=True)


def wait(payload: Any) -> None:
    """Prints that it begins, and is done when a file is there."""
    print("begun", flush=True)
    while not Path(payload.body).exists():
        time.sleep(0.01)
    print("done", flush=True)


def refuse(payload: Any) -> None:
    """Fails."""
    print("refused", file=sys.stdout, flush=True)
    raise ValueError("no good")


def refuse_odd(payload: Any) -> None:
    """Fails with every other number."""
    if payload.body % 2:
        raise ValueError("odd")

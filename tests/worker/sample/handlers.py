"""Handlers that write down what they were given: a line for each message, with the process that had it."""

from __future__ import annotations

import os
import time
from pathlib import Path

from stompconsole import Payload, handler


def _write(word: str, payload: Payload) -> None:
    line = f"{word} {os.getpid()} {payload.body}\n"
    with Path(os.environ["TEST_LEDGER"]).open("a", encoding="utf-8") as ledger:
        ledger.write(line)


@handler
def note(payload: Payload) -> None:
    """Writes it down."""
    _write("done", payload)


@handler
def note_unhurried(payload: Payload) -> None:
    """Writes it down after 2 ms, so that some thousands of messages have a middle."""
    time.sleep(0.002)
    _write("done", payload)


@handler
def held_up(payload: Payload) -> None:
    """Writes down that it begins, waits until the gate is open, writes down that it is done."""
    _write("begun", payload)
    gate = Path(os.environ["TEST_LEDGER"]).with_suffix(".gate")
    while not gate.exists():
        time.sleep(0.01)
    _write("done", payload)


@handler
def fail(payload: Payload) -> None:
    """Writes it down and fails."""
    _write("failed", payload)
    raise ValueError(f"no good: {payload.body}")


@handler
def call(payload: Payload) -> None:
    """Calls something that is down until the gate is open."""
    if not Path(os.environ["TEST_LEDGER"]).with_suffix(".gate").exists():
        _write("failed", payload)
        raise ConnectionError("connection refused")
    _write("done", payload)


@handler
def query(payload: Payload) -> None:
    """Asks the database."""
    from stompconsole.models import Consumer

    _write(f"found-{Consumer.objects.count()}", payload)

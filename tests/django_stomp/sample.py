"""Handlers written as for django-stomp: each settles by itself. They say what they do on standard output."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

from django.db import connection

from stompconsole import Payload
from stompconsole.publishing import build_publisher


def say(text: str) -> None:
    """One line, in one write: other threads write there too."""
    os.write(1, f"{text}\n".encode())


def take(payload: Payload) -> None:
    """Says what it was given."""
    payload.ack()
    say(f"done {payload.body}")


def held_up(payload: Payload) -> None:
    """Says that it begins, and settles once there is a file with the body's name."""
    say(f"begun {payload.body}")
    gate = Path(os.environ["TEST_GATES"]) / str(payload.body)
    while not gate.exists():
        time.sleep(0.01)
    payload.ack()
    say(f"done {payload.body}")


def fail(payload: Payload) -> None:
    """Fails."""
    say(f"failed {payload.body}")
    raise ValueError(f"no good: {payload.body}")


def settle_and_fail(payload: Payload) -> None:
    """Settles twice, and then fails."""
    say(f"begun {payload.body}")
    payload.ack()
    payload.ack()
    raise ValueError("after the ack")


def exit_or_take(payload: Payload) -> None:
    """Ends the interpreter, or tries to, if the body says so."""
    exit_if_asked(payload.body)
    take(payload)


async def exit_or_take_async(payload: Payload) -> None:
    """The same in a coroutine."""
    exit_if_asked(payload.body)
    take(payload)


def exit_if_asked(body: object) -> None:
    """What ``sys.exit`` and Ctrl-C raise."""
    if body == "exit":
        raise SystemExit(3)
    if body == "interrupt":
        raise KeyboardInterrupt


def answer(payload: Payload) -> None:
    """Publishes to where the body says, and nothing of the id."""
    publisher = build_publisher()
    with publisher.auto_open_close_connection(), publisher.do_inside_transaction():
        publisher.send(queue=payload.body["to"], body={"answered": payload.body["n"]})
    payload.ack()


def show(payload: Payload) -> None:
    """Says with which headers it came."""
    payload.ack()
    say(f"headers {json.dumps(payload.headers)}")


def query(payload: Payload) -> None:
    """Asks the database, and says whether it had to be connected to first."""
    is_new = connection.connection is None
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    payload.ack()
    say(f"{'opened' if is_new else 'kept'} for {payload.body}")

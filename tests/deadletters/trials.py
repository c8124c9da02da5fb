"""Trials for tests: dead letters of handlers that are really tried, and engines in a thread of the test."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.test import override_settings

from stompconsole.deadletters import grouping
from stompconsole.deadletters.trying.choosing import By
from stompconsole.deadletters.trying.process import Nursery
from stompconsole.deadletters.trying.verdict import Verdict
from stompconsole.models import Broker, Consumer, DeadLetter, Trial, TrialItem
from tests.deadletters.engines import database_url
from tests.deadletters.making import make_broker, make_consumer, make_dead_letters

SOMEBODY = By(user=None, name="somebody")
LIMIT_S = 20.0


@contextmanager
def allowed(monkeypatch: pytest.MonkeyPatch, **settings: Any) -> Iterator[None]:
    """Handlers may be tried, here and in the processes that are started."""
    monkeypatch.setenv("DJANGO_SETTINGS_MODULE", "tests.deadletters.trying_settings")
    monkeypatch.setenv("DATABASE_URL", database_url())
    # Short polls, and a lease of which a third is as long as a test may want a handler to run.
    values = {"TRY_HANDLERS": True, "POLL_INTERVAL": 0.1, "LEASE": 60, **settings}
    with override_settings(STOMPCONSOLE=values):
        yield


def consumer_of(handler: str, broker: Broker | None = None, **fields: Any) -> Consumer:
    """A consumer whose handler is one of ``tests.deadletters.tried``."""
    return make_consumer(broker or make_broker(), handler=f"tests.deadletters.tried.{handler}", **fields)


def letter_of(handler: str, broker: Broker | None = None, body: bytes = b'{"order": 1}', **fields: Any) -> DeadLetter:
    return make_dead_letters(consumer_of(handler, broker, **fields), 1, body=body)[0]


def verdicts(*letters: DeadLetter, limit_s: float = LIMIT_S) -> list[Verdict]:
    """What comes of them, tried one after the other in one nursery."""
    trial = Trial.objects.create(selection="a test", total=len(letters))
    items = [TrialItem.objects.create(trial=trial, dead_letter=letter).pk for letter in letters]

    async def tried() -> list[Verdict]:
        nursery = Nursery()
        try:
            return [await nursery.try_item(item, limit_s) for item in items]
        finally:
            await nursery.close()

    return asyncio.run(tried())


def tried(*handlers: str, limit_s: float = LIMIT_S) -> dict[str, Verdict]:
    """What comes of a dead letter of each of these handlers."""
    found = verdicts(*map(letter_of, handlers), limit_s=limit_s)
    return dict(zip(handlers, found, strict=True))


def grouped(letters: list[DeadLetter]) -> list[DeadLetter]:
    """The same, in their failure groups."""
    while grouping.group_the_rest():
        pass
    for letter in letters:
        letter.refresh_from_db()
    return letters


def lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True

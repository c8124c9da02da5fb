"""Worker processes beside a broker that takes nothing: what they say, how they end, whom else they serve."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from stompconsole.delivery.awaited import MAX_SET_ASIDE
from stompconsole.models import Broker, Consumer, DeadLetter, Failure
from tests.delivery.running import send
from tests.support.blockades import Blockade
from tests.support.brokers import TestBroker
from tests.support.waiting import until
from tests.worker.stage import Stage

pytestmark = [pytest.mark.broker, pytest.mark.slow, pytest.mark.django_db(transaction=True)]

NUMBERS = [str(number) for number in range(10)]
DRAIN_S = 2.0
LETTERS = 3
"""Of each consumer that is stuck."""


@pytest.fixture(params=[pytest.param(kind, marks=pytest.mark.broker) for kind in ("memory_alarm", "full_store")])
def blockade(request: pytest.FixtureRequest) -> Iterator[Blockade]:
    """Those that say nothing by themselves: of RabbitMQ and of ActiveMQ."""
    made: Blockade = request.getfixturevalue(request.param)
    try:
        yield made
    finally:
        made.clear()


@pytest.fixture
def stage(transactional_db: None, blockade: Blockade, tmp_path: Path) -> Iterator[Stage]:
    with Stage(blockade.broker, tmp_path) as made:
        made.row.receipt_timeout_s = 1.0
        made.row.save()
        yield made


def failing(stage: Stage) -> Consumer:
    """A consumer whose handler fails, with a queue of its own.

    Twice, after a random while: in an alarm RabbitMQ takes the first thing it reads of a connection, and what failed
    all at once would be one.
    """
    retries = {"max_attempts": 2, "retry_first_delay_s": 1.0}
    return stage.consumer(f"orders-{uuid.uuid4().hex[:8]}", handler="fail", capture=True, **retries)


def says_why(stage: Stage, consumer: Consumer, words: str) -> bool:
    return any(words in slot.reason for slot in stage.slots(consumer))


def stuck_say_why(stage: Stage, consumers: list[Consumer], words: str) -> bool:
    """All that have something in hand, and enough of them.

    In an alarm RabbitMQ takes the first message of each connection, and a sender opens one more than it sets aside:
    so many letters may get through, and the three of one consumer with them.
    """
    slots = [slot for consumer in consumers for slot in stage.slots(consumer)]
    waiting = [slot for slot in slots if slot.in_flight]
    enough = len(consumers) - (MAX_SET_ASIDE + 1) // LETTERS
    return len(waiting) >= enough and all(words in slot.reason for slot in waiting)


def dead() -> list[str]:
    return sorted(bytes(body).decode() for body in DeadLetter.objects.values_list("body", flat=True))


def test_the_pages_say_why_and_a_worker_ends_in_time_and_loses_nothing(stage: Stage, blockade: Blockade) -> None:
    consumer = failing(stage)
    stage.send(consumer.destination, map(int, NUMBERS))
    blockade.block()
    worker = stage.worker(wait_s=DRAIN_S)
    until(lambda: says_why(stage, consumer, blockade.words), 30, "its row says why")
    browser = Client()
    browser.force_login(User.objects.create_superuser("operator"))
    for page in (reverse("stompconsole:overview"), consumer.get_absolute_url()):
        assert blockade.words in browser.get(page).content.decode()
    began = time.monotonic()
    assert worker.terminate(DRAIN_S + 15.0) == 0
    took_s = time.monotonic() - began
    assert took_s < DRAIN_S + 8.0, f"it took {took_s:.1f} s"
    blockade.clear()
    stage.worker()
    until(lambda: sorted(set(dead())) == NUMBERS, 30, "each is dead-lettered in the end")
    until(lambda: sum(slot.in_flight for slot in stage.slots(consumer)) == 0, 20, "nothing is left")
    assert set(Failure.objects.values_list("attempts", flat=True)) == {2}


def test_consumers_of_other_brokers_are_served_meanwhile(
    stage: Stage, blockade: Blockade, devbroker: TestBroker
) -> None:
    stuck = [failing(stage) for _ in range(10)]
    for consumer in stuck:
        stage.send(consumer.destination, range(LETTERS))
    at = {"host": devbroker.host, "port": devbroker.port, "user": devbroker.user, "password": devbroker.password}
    row = Broker.objects.create(name="other", **at)
    served = [stage.consumer(f"served-{number}", broker=row) for number in range(10)]
    blockade.block()
    stage.worker()
    until(lambda: stuck_say_why(stage, stuck, blockade.words), 60, "all that are stuck say why")
    for consumer in served:
        send(devbroker.broker_spec(), consumer.destination, range(100))
    until(lambda: len(stage.written()) == 1_000, 20, "the other broker's are handled")
    assert [slot.reason for consumer in served for slot in stage.slots(consumer)] == [""] * 10
    blockade.clear()
    until(lambda: DeadLetter.objects.count() == 10 * LETTERS, 60, "those that were stuck go on")
    assert Failure.objects.count() == 10 * LETTERS, "each died once"

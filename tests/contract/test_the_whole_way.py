"""A message's whole way, over each broker: handled, failed, dead-lettered, captured, replayed, processed.

With a worker process, the database and the broker as they are in production.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from stompconsole.deadletters.selection import replay_selected
from stompconsole.models import Consumer, DeadLetter, DeadLetterState
from tests.support.brokers import TestBroker
from tests.support.proxy import Proxy
from tests.support.waiting import until
from tests.worker.stage import Stage

MANY = [str(number) for number in range(600)]


@pytest.fixture
def stage(transactional_db: None, any_broker: TestBroker, proxy: Proxy, tmp_path: Path) -> Iterator[Stage]:
    """Workers that reach the broker through the proxy."""
    with Stage(replace(any_broker, port=proxy.endpoint.port), tmp_path) as made:
        yield made


def _wait_for_state(letter: DeadLetter, state: DeadLetterState) -> None:
    def reached() -> bool:
        letter.refresh_from_db()
        return letter.state == state

    until(reached, 20, f"dead letter {letter.pk} is {state}, not {letter.state}")


def _replay(letter: DeadLetter) -> None:
    planned = replay_selected([letter.pk], actor=None, reason="the whole way")
    assert planned.chosen == 1, planned.refusal


@pytest.mark.long
def test_a_message_that_fails_is_dead_lettered_captured_replayed_and_processed(stage: Stage, destination: str) -> None:
    worker = stage.worker()
    consumer = stage.consumer("orders", handler="fail", destination=destination, capture=True)
    stage.wait_for(consumer, "running")

    stage.send(destination, [{"order": 1}])
    letter = until(DeadLetter.objects.first, 20, "the dead letter is captured")
    assert (letter.state, letter.error_message) == (DeadLetterState.DEAD, "no good: {'order': 1}")
    assert (letter.origin, bytes(letter.body)) == (destination, b'{"order": 1}')

    _replay(letter)
    until(lambda: letter.failures.count() == 2, 20, "it fails again and comes back")
    _wait_for_state(letter, DeadLetterState.DEAD)

    _mend(stage, consumer)
    _replay(letter)
    _wait_for_state(letter, DeadLetterState.PROCESSED)
    assert stage.written("done") == ["{'order': 1}"]
    assert DeadLetter.objects.count() == 1
    assert worker.terminate() == 0


@pytest.mark.long
def test_a_worker_whose_connections_are_cut_again_and_again_loses_nothing(
    stage: Stage, proxy: Proxy, destination: str
) -> None:
    # Before there is anybody to handle them. Two kilobytes each: what a message is taken to weigh where a broker
    # counts bytes.
    stage.send(destination, MANY, **{"x-weight": "x" * 1_800})
    worker = stage.worker()
    consumer = stage.consumer("orders", "note_unhurried", destination=destination, prefetch=20, concurrency=2)

    for handled in (1, 100, 300):
        until(lambda least=handled: len(stage.written()) >= least, 30, f"{handled} are handled")
        proxy.cut()

    stage.broker.until(lambda: set(stage.written()) == set(MANY), 40, "every message is handled")
    until(lambda: all(slot.in_flight == 0 for slot in stage.slots(consumer)), 20, "every message is settled")
    assert worker.terminate() == 0
    assert proxy.connections >= 4, "the worker connected again after each cut"
    assert len(stage.written()) - len(MANY) <= 3 * 20, "what comes twice was in flight when a connection was cut"


def _mend(stage: Stage, consumer: Consumer) -> None:
    [before] = stage.slots(consumer)
    consumer.handler = "tests.worker.sample.handlers.note"
    consumer.save()

    def restarted() -> bool:
        [slot] = stage.slots(consumer)
        return slot.state == "running" and slot.state_since != before.state_since

    until(restarted, 20, "the consumer runs with its new handler")

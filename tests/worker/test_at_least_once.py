"""At least once, shown: a ledger of 5,000 messages over a worker that ends in the middle, on each broker."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from stompconsole.models import Consumer
from tests.support.brokers import TestBroker
from tests.support.choosing import one_of_each_dialect
from tests.support.waiting import until
from tests.worker.stage import Stage

pytestmark = [pytest.mark.slow, one_of_each_dialect]

COUNT = 5_000
PREFETCH = 50
ALL = set(map(str, range(COUNT)))


@pytest.fixture
def stage(transactional_db: None, any_broker: TestBroker, tmp_path: Path) -> Iterator[Stage]:
    with Stage(any_broker, tmp_path) as made:
        yield made


@pytest.fixture
def consumer(stage: Stage, destination: str) -> Consumer:
    # Two kilobytes each: what a message is taken to weigh where a broker counts bytes.
    stage.send(destination, range(COUNT), **{"x-weight": "x" * 1_800})
    return stage.consumer("ledger", "note_unhurried", destination=destination, prefetch=PREFETCH, concurrency=2)


def wait_for_the_middle(stage: Stage) -> None:
    until(lambda: len(stage.written()) >= COUNT // 5, 60, "a fifth is handled")
    assert len(stage.written()) < COUNT, "the worker must end in the middle"


def wait_for_all(stage: Stage, consumer: Consumer) -> None:
    stage.broker.until(lambda: set(stage.written()) >= ALL, 90, "every message is handled")
    until(lambda: all(slot.in_flight == 0 for slot in stage.slots(consumer)), 20, "every message is settled")


def test_a_worker_killed_in_the_middle_loses_nothing_and_repeats_at_most_its_prefetch(
    stage: Stage, consumer: Consumer
) -> None:
    first = stage.worker()
    wait_for_the_middle(stage)
    first.kill()
    second = stage.worker()
    wait_for_all(stage, consumer)
    assert second.terminate() == 0
    written = stage.written()
    assert set(written) == ALL
    assert len(written) - COUNT <= PREFETCH * consumer.instances


def test_a_worker_told_to_end_in_the_middle_loses_nothing_and_repeats_nothing(stage: Stage, consumer: Consumer) -> None:
    first = stage.worker()
    wait_for_the_middle(stage)
    assert first.terminate() == 0
    second = stage.worker()
    wait_for_all(stage, consumer)
    assert second.terminate() == 0
    assert sorted(stage.written(), key=int) == sorted(ALL, key=int)

"""The inbox of a subscription and its threads."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator, Sequence

import pytest

from stompconsole.brokers import Dialect
from stompconsole.delivery.ack_modes import settlement_for
from stompconsole.delivery.pipeline import Pipeline
from stompconsole.delivery.settlement import Delivery, Settlement
from stompconsole.delivery.specs import AckMode
from tests.delivery.recording import RecordingSession
from tests.delivery.test_settlement import Around
from tests.support.waiting import until

COUNT = 3_000


class Acking:
    """Work that ACKs, and counts."""

    trouble = ""

    def __init__(self) -> None:
        self.done: list[int] = []

    def process(self, batch: Sequence[Delivery], dialect: Dialect) -> None:
        for delivery in batch:
            delivery.ack()
            self.done.append(delivery.number)

    def close(self) -> None:
        return


@pytest.fixture
def hasty_threads() -> Iterator[None]:
    """Threads take turns all the time."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(usual)


@pytest.mark.usefixtures("hasty_threads")
def test_messages_go_into_work_in_the_order_of_arrival_on_many_threads_too() -> None:
    settlement = settlement_for(AckMode.CLIENT, RecordingSession(), "/queue/a", limit=1_000, around=Around())
    taken: list[int] = []
    lock, take = threading.Lock(), settlement.take

    def noted(batch: Sequence[Delivery]) -> list[Delivery]:
        with lock:
            taken.extend(delivery.number for delivery in batch)
        return take(batch)

    settlement.take = noted  # type: ignore[method-assign]
    work = Acking()
    pipeline = Pipeline("tested", work, threads=8, batch=1)
    pipeline.start()
    try:
        for delivery in arriving(settlement):
            pipeline.put(delivery)
        until(lambda: len(work.done) == COUNT, what="all are done")
    finally:
        assert pipeline.stop(timeout_s=5)
    assert taken == list(range(1, COUNT + 1))


def arriving(settlement: Settlement) -> Iterator[Delivery]:
    for number in range(COUNT):
        delivery = Delivery(settlement, {"ack": str(number), "message-id": f"m{number}"}, b"")
        settlement.arrived(delivery)
        yield delivery

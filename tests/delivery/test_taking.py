"""The quota: never one more than the limit, whatever becomes of sessions."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from stompconsole.brokers import Dialect
from stompconsole.delivery.settlement import Delivery, Settlement
from stompconsole.delivery.taking import AckWork, Quota
from tests.delivery.recording import RecordingSession


class Around:
    """A subscription that runs nothing later."""

    def after(self, delay_s: float, action: Callable[[], None]) -> None:
        return

    def put(self, delivery: Delivery) -> None:
        return

    def wake(self) -> None:
        return


@pytest.fixture
def session() -> RecordingSession:
    return RecordingSession()


def handed_out(session: RecordingSession, count: int) -> list[Delivery]:
    """Deliveries that have gone into work."""
    settlement = Settlement(session, "/queue/a", limit=1, around=Around())
    deliveries = [Delivery(settlement, {"ack": str(number)}, b"") for number in range(count)]
    for delivery in deliveries:
        settlement.arrived(delivery)
    return settlement.take(deliveries)


def quota(limit: int | None) -> tuple[Quota, threading.Event]:
    fulfilled = threading.Event()
    return Quota(limit, fulfilled.set), fulfilled


def test_exactly_so_many_are_acked_and_it_is_told(session: RecordingSession) -> None:
    mine, fulfilled = quota(3)
    AckWork(mine).process(handed_out(session, 5), Dialect())
    assert session.frames == ["ACK 0", "ACK 1", "ACK 2"]
    assert (mine.taken, mine.is_fulfilled, fulfilled.is_set()) == (3, True, True)


def test_without_a_limit_all_are(session: RecordingSession) -> None:
    mine, fulfilled = quota(None)
    AckWork(mine).process(handed_out(session, 5), Dialect())
    assert (mine.taken, len(session.frames), fulfilled.is_set()) == (5, 5, False)


def test_what_is_not_taken_is_waited_for_by_nobody(session: RecordingSession) -> None:
    mine, _ = quota(1)
    deliveries = handed_out(session, 3)
    AckWork(mine).process(deliveries, Dialect())
    assert deliveries[0].settlement.wait_idle(0.1)


def test_one_whose_session_ended_before_its_ack_does_not_count(session: RecordingSession) -> None:
    mine, fulfilled = quota(1)
    (lost,) = handed_out(session, 1)
    assert mine.reserve(lost)
    session.abort("cut")
    mine.take(lost)
    assert (mine.taken, mine.repeated, fulfilled.is_set()) == (0, 1, False)
    (again,) = handed_out(RecordingSession(), 1)
    assert mine.reserve(again), "the broker gives it again, so it may be taken again"


def test_one_that_is_given_back_makes_room_for_another(session: RecordingSession) -> None:
    mine, _ = quota(1)
    first, second = handed_out(session, 2)
    assert mine.reserve(first)
    mine.give_back(first)
    assert mine.reserve(second)
    assert first.settlement.in_flight == 2


def test_several_threads_never_take_more_between_them() -> None:
    mine, _ = quota(500)
    sessions = [RecordingSession() for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda each: AckWork(mine).process(handed_out(each, 400), Dialect()), sessions))
    assert sum(len(each.frames) for each in sessions) == mine.taken == 500

"""Settlement: each ack mode's promise, as properties over any order of settling."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stompconsole.delivery.ack_modes import settlement_for
from stompconsole.delivery.settlement import Delivery, Settlement
from stompconsole.delivery.specs import AckMode
from tests.delivery.recording import RecordingSession


class Around:
    """Keeps what was asked for later, and runs it when told to."""

    def __init__(self) -> None:
        self.later: list[Callable[[], None]] = []
        self.queued: list[Delivery] = []
        self.woken = False

    def after(self, delay_s: float, action: Callable[[], None]) -> None:
        self.later.append(action)

    def put(self, delivery: Delivery) -> None:
        self.queued.append(delivery)

    def wake(self) -> None:
        self.woken = True

    def pass_time(self) -> None:
        due, self.later = self.later, []
        for action in due:
            action()


def made(mode: AckMode, count: int, limit: int = 1_000) -> tuple[RecordingSession, Around, Settlement, list[Delivery]]:
    session, around = RecordingSession(), Around()
    settlement = settlement_for(mode, session, "/queue/a", limit=limit, around=around)
    deliveries = [Delivery(settlement, {"ack": str(n), "message-id": f"m{n}"}, b"") for n in range(count)]
    for delivery in deliveries:
        settlement.arrived(delivery)
    assert settlement.take(deliveries) == deliveries
    return session, around, settlement, deliveries


orders = st.integers(1, 30).flatmap(lambda n: st.tuples(st.just(n), st.lists(st.integers(0, n - 1), max_size=60)))


@given(orders)
def test_individual_each_settled_delivery_has_exactly_one_ack(case: tuple[int, list[int]]) -> None:
    count, order = case
    session, _, settlement, deliveries = made(AckMode.CLIENT_INDIVIDUAL, count)
    for number in order:
        deliveries[number].ack()
    settlement.flush()
    assert session.frames == [f"ACK {number}" for number in dict.fromkeys(order)]


@given(orders, st.integers(1, 5))
def test_client_no_ack_ever_covers_an_unsettled_delivery(case: tuple[int, list[int]], every: int) -> None:
    count, order = case
    session, _, settlement, deliveries = made(AckMode.CLIENT, count)
    settled: set[int] = set()
    for step, number in enumerate(order):
        deliveries[number].ack()
        settled.add(number)
        if step % every == 0:
            settlement.flush()
        covered = max((int(frame.removeprefix("ACK ")) for frame in session.frames), default=-1)
        assert set(range(covered + 1)) <= settled
    settlement.flush()
    prefix = next((n for n in range(count) if n not in settled), count)
    last = session.frames[-1] if session.frames else None
    assert last == (f"ACK {prefix - 1}" if prefix else None)


def test_auto_writes_nothing() -> None:
    session, _, settlement, deliveries = made(AckMode.AUTO, 3)
    for delivery in deliveries:
        assert delivery.ack()
    settlement.flush()
    assert session.writes == []
    assert settlement.in_flight == 0


def test_acks_are_coalesced_into_one_write() -> None:
    session, _, settlement, deliveries = made(AckMode.CLIENT_INDIVIDUAL, 20)
    for delivery in deliveries:
        delivery.ack()
    assert session.writes == []
    settlement.flush()
    assert len(session.writes) == 1


def test_an_ack_without_company_is_written_soon_though_its_thread_is_busy() -> None:
    session, around, _, deliveries = made(AckMode.CLIENT_INDIVIDUAL, 2)
    deliveries[0].ack()
    around.pass_time()
    assert session.frames == ["ACK 0"]


def test_many_acks_do_not_wait_for_the_end_of_the_batch() -> None:
    session, _, _, deliveries = made(AckMode.CLIENT_INDIVIDUAL, 10, limit=4)
    for delivery in deliveries:
        delivery.ack()
    assert [write.count(b"ACK") for write in session.writes] == [4, 4]


def test_settling_twice_is_harmless_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    session, _, settlement, deliveries = made(AckMode.CLIENT_INDIVIDUAL, 1)
    assert deliveries[0].ack()
    assert not deliveries[0].ack()
    assert not deliveries[0].nack()
    settlement.flush()
    assert session.frames == ["ACK 0"]
    assert "m0 of /queue/a is not settled: it was settled before" in caplog.text


def test_nothing_is_settled_on_a_session_that_has_ended(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    session, _, settlement, deliveries = made(AckMode.CLIENT_INDIVIDUAL, 2)
    deliveries[0].ack()
    session.abort("cut")
    assert not deliveries[1].ack()
    settlement.flush()
    assert session.writes == []
    assert not deliveries[1].alive
    assert settlement.in_flight == 0


def test_draining_waits_for_what_is_in_work_and_not_for_what_waits_for_a_retry() -> None:
    _, around, settlement, deliveries = made(AckMode.CLIENT_INDIVIDUAL, 3)
    deliveries[0].ack()
    settlement.again(deliveries[1], 60.0)
    assert not settlement.wait_idle(0.0)
    waiter = threading.Thread(target=lambda: done.append(settlement.wait_idle(10.0)))
    done: list[bool] = []
    waiter.start()
    deliveries[2].ack()
    waiter.join(5)
    assert done == [True]
    around.pass_time()
    assert around.queued == [deliveries[1]]


def test_many_threads_settling_at_once_write_each_ack_once() -> None:
    session, _, settlement, deliveries = made(AckMode.CLIENT_INDIVIDUAL, 4_000, limit=7)
    barrier = threading.Barrier(4)

    def settle(part: int) -> None:
        barrier.wait(5)
        for delivery in deliveries[part::2]:
            delivery.ack()

    threads = [threading.Thread(target=settle, args=(number % 2,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    settlement.flush()
    assert sorted(session.frames) == sorted(f"ACK {number}" for number in range(4_000))


@pytest.mark.parametrize("mode", [AckMode.CLIENT, AckMode.CLIENT_INDIVIDUAL])
def test_once_draining_nothing_more_goes_into_work(mode: AckMode) -> None:
    # Between a thread's look into the inbox and its first handler call a drain may begin, and end.
    _, _, settlement, deliveries = made(mode, 2)
    more = [Delivery(settlement, {"ack": "9"}, b"")]
    settlement.drain()
    assert settlement.take(more) == []
    for delivery in deliveries:
        assert not delivery.wanted
        settlement.leave(delivery)
    assert settlement.wait_idle(0.0)


@pytest.mark.parametrize(("mode", "begins"), [(AckMode.CLIENT_INDIVIDUAL, []), (AckMode.CLIENT, [0, 1])])
def test_while_draining_a_cumulative_ack_has_what_it_covers_begun_with(mode: AckMode, begins: list[int]) -> None:
    _, _, settlement, deliveries = made(mode, 5)
    assert deliveries[2].wanted
    settlement.drain()
    assert [number for number in (0, 1, 3, 4) if deliveries[number].wanted] == begins
    settlement.ended()
    settlement.shut()
    assert not any(delivery.wanted for delivery in deliveries), "nothing can be settled any more"


def test_what_is_settled_already_does_not_go_into_work_again() -> None:
    _, _, settlement, deliveries = made(AckMode.CLIENT_INDIVIDUAL, 2)
    settlement.again(deliveries[0], 1.0)
    deliveries[0].ack()
    deliveries[1].ack()
    assert settlement.take(deliveries) == []
    assert settlement.wait_idle(0.0)


def test_what_is_owed_while_another_thread_writes_is_written_by_that_thread() -> None:
    session, _, settlement, deliveries = made(AckMode.CLIENT_INDIVIDUAL, 2)
    writing, go_on, write = threading.Event(), threading.Event(), session.write

    def slow(data: bytes) -> None:
        writing.set()
        assert go_on.wait(5)
        write(data)

    session.write = slow  # type: ignore[method-assign]
    deliveries[0].ack()
    thread = threading.Thread(target=settlement.flush)
    thread.start()
    assert writing.wait(5)
    deliveries[1].ack()
    settlement.flush()
    go_on.set()
    thread.join(5)
    assert session.frames == ["ACK 0", "ACK 1"]


def test_nothing_is_settled_any_more_once_it_is_shut() -> None:
    session, _, settlement, deliveries = made(AckMode.CLIENT_INDIVIDUAL, 2)
    deliveries[0].ack()

    settlement.shut()

    assert not deliveries[1].ack()
    assert (session.frames, settlement.in_flight) == (["ACK 0"], 0)


def test_whoever_shuts_it_waits_for_an_ack_that_is_being_written() -> None:
    # Else UNSUBSCRIBE could be written before it.
    session, _, settlement, deliveries = made(AckMode.CLIENT_INDIVIDUAL, 1)
    begun, go_on, written = threading.Event(), threading.Event(), threading.Event()

    def slow(data: bytes) -> None:
        begun.set()
        assert go_on.wait(10)
        written.set()

    session.write = slow  # type: ignore[method-assign]
    deliveries[0].ack()
    writer = threading.Thread(target=settlement.flush)
    writer.start()
    assert begun.wait(10)
    shutter = threading.Thread(target=lambda: (settlement.shut(), shut_after.append(written.is_set())))
    shut_after: list[bool] = []
    shutter.start()
    shutter.join(0.2)
    go_on.set()
    shutter.join(10)
    writer.join(10)
    assert shut_after == [True]


def test_what_can_not_be_worked_on_is_given_back_by_leaving_in_order() -> None:
    session, around, settlement, deliveries = made(AckMode.CLIENT_INDIVIDUAL, 3)
    deliveries[0].ack()

    settlement.give_back(deliveries, "the database is away")

    assert (settlement.failure, around.woken, session.close_reason) == ("the database is away", True, None)
    assert settlement.wait_idle(0)
    assert settlement.take(deliveries) == []


def test_in_auto_mode_there_is_nobody_to_give_it_back_to() -> None:
    session, _, settlement, deliveries = made(AckMode.AUTO, 1)

    settlement.give_back(deliveries, "the database is away")

    assert session.close_reason == "the database is away"

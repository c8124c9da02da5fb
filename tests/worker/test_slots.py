"""The slots a worker holds, with real runners that look for a broker that is not there."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from stompconsole.delivery.handling import HandlerWork
from stompconsole.delivery.observer import Observer
from stompconsole.delivery.payload import Payload
from stompconsole.delivery.runner import SubscriptionRunner
from stompconsole.delivery.senders import Senders
from stompconsole.delivery.specs import BrokerSpec, ConsumerSpec, Purpose, SubscriptionState, consume_spec
from stompconsole.delivery.status import RunnerStatus
from stompconsole.errors import HandlerNotFound
from stompconsole.metrics.tally import Counts
from stompconsole.transport.session import Endpoint
from stompconsole.worker.leases import Lease, Renewal
from stompconsole.worker.slots import Slots, by_consumer
from stompconsole.worker.wanted import Held, RunSpec, SlotKey
from tests.support.ports import free_port
from tests.support.waiting import until

KEY = SlotKey(consumer_id=1, purpose=Purpose.CONSUME, slot="0")
OTHER = SlotKey(consumer_id=2, purpose=Purpose.CONSUME, slot="0")
DRAIN_LIMIT_S = 30.0


class Clock:
    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def spec(name: str = "orders") -> ConsumerSpec:
    broker = BrokerSpec(name="gone", endpoints=(Endpoint(host="127.0.0.1", port=free_port()),))
    return ConsumerSpec(name=name, broker=broker, destination="/queue/orders", handler="h")


def lease(deadline_s: float, pk: int = 1) -> Lease:
    return Lease(pk=pk, deadline_s=deadline_s)


class Rig:
    """Slots by a clock of the test's own, and the runners they made."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.ended = threading.Event()
        self.runners: list[SubscriptionRunner] = []
        self.slots = Slots(self._make, drain_limit_s=DRAIN_LIMIT_S, ended=self.ended.set, clock=self.clock)

    def _make(self, key: SlotKey, wanted: RunSpec, observer: Observer) -> SubscriptionRunner:
        assert isinstance(wanted, ConsumerSpec)
        if wanted.name == "missing":
            raise HandlerNotFound("there is none")
        work = HandlerWork(wanted, _ignore, Senders(), "w", observer)
        self.runners.append(SubscriptionRunner(consume_spec(wanted), work, observer))
        return self.runners[-1]

    def run(self, key: SlotKey = KEY, deadline_s: float = 1008.0, wanted: ConsumerSpec | None = None) -> None:
        self.slots.hold(key, lease(deadline_s, pk=key.consumer_id))
        self.slots.start(key, wanted or spec())


def _ignore(payload: Payload) -> None:
    return


@pytest.fixture
def rig() -> Iterator[Rig]:
    made = Rig()
    yield made
    made.slots.abort_all("the test is over")
    until(lambda: not made.slots.busy(), what="all runners end")


def renewal(deadline_s: float, *, lost: frozenset[SlotKey], orphaned: frozenset[SlotKey] = frozenset()) -> Renewal:
    return Renewal(deadline_s=deadline_s, lost=lost, orphaned=orphaned)


def test_a_runner_is_aborted_at_the_deadline_of_its_lease_and_not_before(rig: Rig) -> None:
    rig.run(deadline_s=1008.0)
    rig.clock.now_s = 1007.9
    rig.slots.guard()
    assert KEY in rig.slots.held()
    rig.clock.now_s = 1008.0
    rig.slots.guard()
    assert rig.slots.held() == {}
    assert rig.runners[0].join(10)


def test_a_renewal_moves_the_deadline(rig: Rig) -> None:
    rig.run(deadline_s=1008.0)
    rig.slots.renewed(renewal(1010.0, lost=frozenset()), rig.slots.leases())
    rig.clock.now_s = 1009.0
    rig.slots.guard()
    assert KEY in rig.slots.held()


def test_a_lease_that_was_lost_ends_its_runner_and_no_other(rig: Rig) -> None:
    rig.run(KEY)
    rig.run(OTHER)
    rig.slots.renewed(renewal(1010.0, lost=frozenset({KEY})), rig.slots.leases())
    assert set(rig.slots.held()) == {OTHER}
    assert rig.runners[0].join(10)
    assert not rig.runners[1].join(0)


def test_a_renewal_says_nothing_of_slots_it_was_not_asked_about(rig: Rig) -> None:
    asked = rig.slots.leases()
    rig.run(KEY, deadline_s=1008.0)
    rig.slots.renewed(renewal(2000.0, lost=frozenset()), asked)
    rig.clock.now_s = 1008.0
    rig.slots.guard()
    assert rig.slots.held() == {}


def test_a_renewal_says_nothing_of_a_slot_that_was_won_anew_meanwhile(rig: Rig) -> None:
    rig.run(KEY)
    asked = rig.slots.leases()
    rig.slots.drop(KEY)
    rig.run(KEY, deadline_s=1020.0)
    rig.slots.renewed(renewal(1010.0, lost=frozenset({KEY})), asked)
    assert KEY in rig.slots.held()


def test_a_runner_whose_consumer_was_deleted_drains_without_a_deadline(rig: Rig) -> None:
    rig.run(KEY)
    rig.slots.renewed(renewal(1010.0, lost=frozenset({KEY}), orphaned=frozenset({KEY})), rig.slots.leases())
    assert rig.slots.leases() == {}
    until(lambda: rig.slots.held() == {KEY: Held(spec=None)}, what="it drains and is idle")


def test_a_lease_that_ran_out_while_it_was_waited_for_starts_nothing(rig: Rig) -> None:
    rig.clock.now_s = 1009.0
    rig.run(deadline_s=1008.0)
    assert rig.runners == []
    assert rig.slots.held() == {}


def test_a_runner_that_drains_ends_its_slot_idle_and_says_so(rig: Rig) -> None:
    rig.run()
    rig.slots.drain(KEY, "changed")
    assert rig.ended.wait(10)
    assert rig.slots.held() == {KEY: Held(spec=None)}
    rig.slots.start(KEY, spec("new"))
    held = rig.slots.held()[KEY].spec
    assert isinstance(held, ConsumerSpec)
    assert held.name == "new"


def test_a_runner_that_does_not_drain_in_time_is_aborted_and_keeps_its_slot() -> None:
    clock = Clock()
    stuck = StuckRunner()
    slots = Slots(lambda *_: stuck, drain_limit_s=DRAIN_LIMIT_S, ended=lambda: None, clock=clock)
    slots.hold(KEY, lease(5000.0))
    slots.start(KEY, spec())
    slots.drain(KEY, "paused")
    clock.now_s += DRAIN_LIMIT_S - 1
    slots.guard()
    assert slots.held()[KEY].draining
    clock.now_s += 1
    slots.guard()
    assert stuck.aborted_for == "paused; it did not finish in 30 s"
    assert slots.held() == {KEY: Held(spec=None)}


def test_a_try_that_is_asked_for_is_passed_on_once_to_each_slot_of_its_consumer(rig: Rig) -> None:
    rig.run(KEY)
    rig.run(OTHER)
    stuck = StuckRunner()
    rig.slots._slots[KEY].runner = stuck
    at = datetime(2026, 1, 1, tzinfo=UTC)
    for asked in (at, at, at + timedelta(seconds=5)):
        rig.slots.try_now({KEY.consumer_id: asked})
    rig.slots.try_now({})
    assert stuck.tries == 2
    rig.slots._slots[KEY].runner = rig.runners[0]


class StuckRunner(SubscriptionRunner):
    """Never drains: a handler that hangs, without a broker to feed it."""

    def __init__(self) -> None:
        self.aborted_for = ""
        self.tries = 0

    def try_now(self) -> None:
        self.tries += 1

    def start(self) -> None:
        return

    def drain(self) -> None:
        return

    def abort(self, reason: str) -> None:
        self.aborted_for = reason

    def join(self, timeout_s: float) -> bool:
        return bool(self.aborted_for)

    @property
    def status(self) -> RunnerStatus:
        return RunnerStatus(state=SubscriptionState.DRAINING)


def test_a_handler_that_is_missing_after_all_leaves_the_slot_idle(rig: Rig) -> None:
    rig.run(wanted=spec("missing"))
    assert rig.slots.held() == {KEY: Held(spec=None)}


def test_counts_of_a_slot_that_is_gone_are_not_lost(rig: Rig) -> None:
    rig.run()
    tally = rig.slots._slots[KEY].tally
    tally.received(5)
    assert rig.slots.collect().slots[0].fresh.received == 5
    tally.received(3)
    rig.slots.drop(KEY)
    assert by_consumer(rig.slots.collect().counts) == {1: Counts(received=3)}
    assert by_consumer(rig.slots.collect().counts) == {}


def test_captures_are_not_throughput(rig: Rig) -> None:
    key = SlotKey(consumer_id=1, purpose=Purpose.CAPTURE, slot="0")
    assert by_consumer([(key, Counts(received=1)), (KEY, Counts(received=2))]) == {1: Counts(received=2)}


def test_totals_are_kept_over_runners_of_one_lease(rig: Rig) -> None:
    rig.run()
    rig.slots._slots[KEY].tally.received(5)
    rig.slots.collect()
    rig.slots.drain(KEY, "changed")
    until(lambda: rig.slots.held()[KEY].spec is None, what="it drains")
    rig.slots.start(KEY, spec())
    now = rig.slots.collect().slots[0]
    assert (now.total.received, now.fresh.received, now.run) == (5, 0, 2)

"""Leases on a real database: one winner, by the database's clock."""

from __future__ import annotations

import itertools
import threading
import uuid
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection

from stompconsole.delivery.specs import Purpose, SubscriptionState
from stompconsole.models import Broker, Consumer, Subscription, Worker
from stompconsole.worker.leases import SAFE_PART, Lease, Leases
from stompconsole.worker.wanted import SlotKey
from tests.support.waiting import until

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


@pytest.fixture
def consumer(transactional_db: None) -> Consumer:
    broker = Broker.objects.create(name="b")
    return Consumer.objects.create(name="orders", broker=broker, destination="/queue/orders", handler="h")


def worker() -> uuid.UUID:
    row = Worker.objects.create(hostname="h", pid=1, version="1", started_at=LONG_AGO, heartbeat_at=LONG_AGO)
    return row.pk


def leases(lease_s: float = 10.0) -> Leases:
    return Leases(worker(), lease_s)


def slot(consumer: Consumer, name: str = "0") -> SlotKey:
    return SlotKey(consumer_id=consumer.pk, purpose=Purpose.CONSUME, slot=name)


def won(lease: Lease | None) -> Lease:
    assert lease is not None
    return lease


def test_a_slot_is_made_once(consumer: Consumer) -> None:
    for _ in range(2):
        leases().ensure([slot(consumer), slot(consumer, "1")])
    assert Subscription.objects.count() == 2


def test_slots_of_a_consumer_that_was_deleted_are_not_made(consumer: Consumer) -> None:
    key = slot(consumer)
    consumer.delete()
    leases().ensure([key])
    assert not Subscription.objects.exists()


def test_a_slot_that_is_held_can_not_be_acquired_and_one_that_was_released_can(consumer: Consumer) -> None:
    first, second = leases(), leases()
    first.ensure([slot(consumer)])
    lease = won(first.acquire(slot(consumer)))
    assert second.acquire(slot(consumer)) is None
    first.release(lease.pk, "paused")
    row = Subscription.objects.get()
    assert (row.worker_id, row.state, row.reason) == (None, "stopped", "paused")
    assert second.acquire(slot(consumer)) is not None


def test_a_slot_without_a_row_can_not_be_acquired(consumer: Consumer) -> None:
    assert leases().acquire(slot(consumer)) is None


def test_a_worker_without_a_row_takes_nothing(consumer: Consumer) -> None:
    mine = Leases(uuid.uuid4(), 10.0)
    mine.ensure([slot(consumer)])
    assert mine.acquire(slot(consumer)) is None
    assert Subscription.objects.get().worker_id is None


def test_a_lease_that_has_run_out_is_anybodys(consumer: Consumer) -> None:
    first, second = leases(), leases()
    first.ensure([slot(consumer)])
    lease = won(first.acquire(slot(consumer)))
    Subscription.objects.update(lease_until=LONG_AGO)
    assert first.renew({slot(consumer): lease}).lost == {slot(consumer)}
    assert second.acquire(slot(consumer)) is not None
    assert first.renew({slot(consumer): lease}).lost == {slot(consumer)}


@pytest.mark.long
def test_a_lease_lasts_as_long_as_it_says_by_the_databases_clock(consumer: Consumer) -> None:
    first, second = leases(lease_s=0.6), leases()
    first.ensure([slot(consumer)])
    won(first.acquire(slot(consumer)))
    assert second.acquire(slot(consumer)) is None
    until(lambda: second.acquire(slot(consumer)), 5, "the lease runs out")


def test_the_deadline_of_a_lease_counts_from_before_the_database_was_asked(consumer: Consumer) -> None:
    asked_at = iter([100.0, 200.0])
    mine = Leases(worker(), 10.0, clock=lambda: next(asked_at))
    mine.ensure([slot(consumer)])
    lease = won(mine.acquire(slot(consumer)))
    assert lease.deadline_s == 100.0 + 10.0 * SAFE_PART
    assert mine.renew({slot(consumer): lease}).deadline_s == 200.0 + 10.0 * SAFE_PART


def test_all_leases_are_renewed_at_once_and_the_lost_ones_named(consumer: Consumer) -> None:
    mine, other = leases(), leases()
    keys = [slot(consumer, name) for name in "012"]
    mine.ensure(keys)
    held = {key: won(mine.acquire(key)) for key in keys}
    assert mine.renew(held).lost == frozenset()
    Subscription.objects.filter(slot="1").update(lease_until=LONG_AGO)
    won(other.acquire(keys[1]))
    before = Subscription.objects.get(slot="0").lease_until
    renewal = mine.renew(held)
    assert (renewal.lost, renewal.orphaned) == ({keys[1]}, frozenset())
    after = Subscription.objects.get(slot="0").lease_until
    assert before is not None
    assert after is not None
    assert after >= before


def test_a_slot_that_went_with_its_consumer_is_orphaned(consumer: Consumer) -> None:
    mine = leases()
    mine.ensure([slot(consumer)])
    held = {slot(consumer): won(mine.acquire(slot(consumer)))}
    consumer.delete()
    renewal = mine.renew(held)
    assert (renewal.lost, renewal.orphaned) == (set(held), set(held))


def test_nothing_to_renew_asks_nothing(consumer: Consumer) -> None:
    assert leases().renew({}).lost == frozenset()


def test_a_broken_slot_is_held_until_a_worker_comes_that_can_run_it(consumer: Consumer) -> None:
    unable, able, other = leases(), leases(), leases()
    unable.ensure([slot(consumer)])
    lease = won(unable.hold_broken(slot(consumer), "no such\0 handler"))
    row = Subscription.objects.get()
    assert (row.state, row.reason) == (SubscriptionState.BROKEN.value, "no such handler")
    assert other.hold_broken(slot(consumer), "nor here") is None
    assert able.acquire(slot(consumer)) is not None
    assert unable.hold_broken(slot(consumer), "still none") is None
    assert unable.renew({slot(consumer): lease}).lost == {slot(consumer)}


def test_totals_go_on_where_the_last_holder_left_them(consumer: Consumer) -> None:
    mine = leases()
    mine.ensure([slot(consumer)])
    Subscription.objects.update(received=7, acked=5, failed=2, received_per_s=9, in_flight=3)
    lease = won(mine.acquire(slot(consumer)))
    assert (lease.received, lease.acked, lease.failed) == (7, 5, 2)
    row = Subscription.objects.get()
    assert (row.received_per_s, row.in_flight) == (0, 0)


def test_only_free_slots_are_forgotten(consumer: Consumer) -> None:
    mine, other = leases(), leases()
    mine.ensure([slot(consumer, "0"), slot(consumer, "1")])
    won(other.acquire(slot(consumer, "0")))
    for name in "01":
        mine.forget(slot(consumer, name))
    assert list(Subscription.objects.values_list("slot", flat=True)) == ["0"]


def test_everything_is_released_at_the_end(consumer: Consumer) -> None:
    mine, other = leases(), leases()
    keys = [slot(consumer, name) for name in "012"]
    mine.ensure(keys)
    won(mine.acquire(keys[0]))
    won(mine.acquire(keys[1]))
    won(other.acquire(keys[2]))
    mine.release_all("the worker is stopping")
    assert Subscription.objects.filter(worker=None).count() == 2
    assert Subscription.objects.get(slot="2").worker_id is not None


def test_of_many_that_try_exactly_one_wins_each_slot(consumer: Consumer) -> None:
    keys = [slot(consumer, str(number)) for number in range(20)]
    rivals = [leases() for _ in range(8)]
    rivals[0].ensure(keys)
    start = threading.Barrier(len(rivals))

    def race(rival: Leases) -> list[SlotKey]:
        try:
            start.wait(10)
            return [key for key in keys if rival.acquire(key)]
        finally:
            connection.close()

    with ThreadPoolExecutor(len(rivals)) as pool:
        wins = Counter(itertools.chain.from_iterable(pool.map(race, rivals)))
    assert wins == dict.fromkeys(keys, 1)


def test_the_lease_ends_later_in_the_database_than_for_its_holder(consumer: Consumer) -> None:
    mine = leases(lease_s=10.0)
    mine.ensure([slot(consumer)])
    before = datetime.now(UTC)
    won(mine.acquire(slot(consumer)))
    until_ = Subscription.objects.get().lease_until
    assert until_ is not None
    # Here, where the database and the test have one clock.
    assert until_ >= before + timedelta(seconds=10.0 - 0.01)

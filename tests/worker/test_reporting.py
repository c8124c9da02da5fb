"""What a worker writes of itself, and what becomes of it when it can't be written."""

from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from django.db import OperationalError, connection

from stompconsole.delivery.specs import Purpose, SubscriptionState
from stompconsole.delivery.status import RunnerStatus
from stompconsole.metrics.tally import Counts
from stompconsole.models import Broker, Consumer, Subscription, ThroughputBucket, Worker
from stompconsole.worker.leases import Lease
from stompconsole.worker.reporting import Ledger, SlotReports, report_of
from stompconsole.worker.slots import Collected, SlotNow
from stompconsole.worker.wanted import SlotKey

pytestmark = pytest.mark.django_db

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
RUNNING = RunnerStatus(
    state=SubscriptionState.RUNNING, reason="half\0full", endpoint="h:1", server="S/1" * 100, in_flight=-3
)


@pytest.fixture
def row() -> Subscription:
    broker = Broker.objects.create(name="b")
    consumer = Consumer.objects.create(name="orders", broker=broker, destination="/queue/orders", handler="h")
    worker = Worker.objects.create(hostname="h", pid=1, version="1", started_at=LONG_AGO, heartbeat_at=LONG_AGO)
    return Subscription.objects.create(
        consumer=consumer, slot="0", worker=worker, state="starting", state_since=LONG_AGO, received=100
    )


def slot_now(row: Subscription, **changes: object) -> SlotNow:
    return replace(
        SlotNow(
            key=SlotKey(consumer_id=row.consumer_id, purpose=Purpose.CONSUME, slot=row.slot),
            lease=Lease(pk=row.pk, deadline_s=1.0, received=100),
            run=1,
            status=RUNNING,
            fresh=Counts(received=10, acked=5, dead_lettered=1),
            total=Counts(received=30, acked=20, dead_lettered=2),
        ),
        **changes,  # type: ignore[arg-type]
    )


def reports(row: Subscription) -> SlotReports:
    assert row.worker_id is not None
    return SlotReports(row.worker_id)


def test_rates_are_per_second_and_totals_go_on(row: Subscription) -> None:
    reports(row).write([report_of(slot_now(row), elapsed_s=2.0)])
    row.refresh_from_db()
    assert (row.received_per_s, row.acked_per_s, row.failed_per_s) == (5.0, 2.5, 0.5)
    assert (row.received, row.acked, row.failed, row.in_flight) == (130, 20, 2, 0)
    assert (row.state, row.reason, row.endpoint, len(row.server)) == ("running", "halffull", "h:1", 200)


def test_the_time_of_a_state_is_that_of_its_beginning(row: Subscription) -> None:
    write = reports(row).write
    write([report_of(slot_now(row), 1.0)])
    row.refresh_from_db()
    since = row.state_since
    assert since is not None
    assert since > LONG_AGO
    write([report_of(slot_now(row, fresh=Counts(received=1)), 1.0)])
    row.refresh_from_db()
    assert row.state_since == since
    write([report_of(slot_now(row, run=2), 1.0)])
    row.refresh_from_db()
    assert row.state_since is not None
    assert row.state_since > since


def test_what_has_not_changed_is_not_written_again(row: Subscription, django_assert_num_queries) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
    write = reports(row).write
    write([report_of(slot_now(row), 1.0)])
    with django_assert_num_queries(0):
        write([report_of(slot_now(row), 1.0)])


def test_a_slot_won_anew_is_written_again(row: Subscription) -> None:
    write = reports(row).write
    write([report_of(slot_now(row), 1.0)])
    Subscription.objects.update(state="starting")
    write([report_of(slot_now(row, lease=Lease(pk=row.pk, deadline_s=2.0)), 1.0)])
    row.refresh_from_db()
    assert row.state == "running"


def test_a_slot_that_is_no_longer_ours_is_left_alone(row: Subscription) -> None:
    SlotReports(uuid.uuid4()).write([report_of(slot_now(row), 1.0)])
    row.refresh_from_db()
    assert row.state == "starting"


def test_a_report_that_comes_late_does_not_hide_that_a_slot_is_broken(row: Subscription) -> None:
    Subscription.objects.update(state="broken", reason="no such handler")
    reports(row).write([report_of(slot_now(row), 1.0)])
    row.refresh_from_db()
    assert (row.state, row.reason) == ("broken", "no such handler")


def test_counts_that_could_not_be_written_are_written_with_the_next(
    row: Subscription, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = Ledger()
    key = slot_now(row).key
    ledger.add(Collected(counts=((key, Counts(received=1, acked=1)),)))

    def refuse(*_: object) -> None:
        raise OperationalError("away")

    with connection.execute_wrapper(refuse), pytest.raises(OperationalError):
        ledger.write()
    assert not ledger.empty
    ledger.add(Collected(counts=((key, Counts(received=2, acked=2)),)))
    ledger.write()
    assert ledger.empty
    assert set(ThroughputBucket.objects.values_list("received", "acked")) == {(3, 3)}


def test_outcomes_of_replays_that_could_not_be_written_are_kept(row: Subscription) -> None:
    ledger = Ledger()
    ledger.add(Collected(counts=((slot_now(row).key, Counts(replayed=((str(uuid.uuid4()), "1"),))),)))

    def refuse(*_: object) -> None:
        raise OperationalError("away")

    with connection.execute_wrapper(refuse), pytest.raises(OperationalError):
        ledger.write()
    assert not ledger.empty
    ledger.write()
    assert ledger.empty

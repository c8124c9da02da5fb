"""A database that is away for a while: the worker lives on, its leases do not, and nothing is lost."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from django.db import connection
from django.db.models import QuerySet

from stompconsole.models import ThroughputBucket
from tests.support.waiting import until
from tests.worker.stage import Stage

pytestmark = pytest.mark.slow


@contextmanager
def database_locked() -> Iterator[None]:
    """Nobody else can write: to a worker it hangs, and after its time limit it fails."""
    if connection.vendor != "sqlite":
        pytest.skip("only SQLite can be locked as a whole")
    connection.close()
    locking = sqlite3.connect(connection.settings_dict["NAME"], isolation_level=None, timeout=20)
    try:
        locking.execute("BEGIN EXCLUSIVE")
        yield
    finally:
        locking.close()


def minutes() -> QuerySet[ThroughputBucket]:
    return ThroughputBucket.objects.filter(width_s=60)


def test_a_worker_that_can_not_renew_stops_in_time_and_starts_again_when_the_database_is_back(stage: Stage) -> None:
    worker = stage.worker(LEASE=2.5)
    consumer = stage.consumer("orders")
    stage.wait_for(consumer, "running")
    with database_locked():
        worker.wait_for_line("aborted: the lease of its slot could not be renewed in time")
        stage.send("/queue/orders", range(10))
        assert stage.written() == []
    until(lambda: sorted(map(int, stage.written())) == list(range(10)), what="it starts again by itself")
    stage.wait_for(consumer, "running")
    assert worker.terminate() == 0


def test_messages_are_handled_while_the_database_is_away_and_the_counters_catch_up(stage: Stage) -> None:
    worker = stage.worker(LEASE=60.0, database_timeout=1)
    consumer = stage.consumer("orders")
    stage.wait_for(consumer, "running")
    with database_locked():
        worker.wait_for_line("the database is away, the worker goes on trying: database is locked")
        stage.send("/queue/orders", range(50))
        until(lambda: len(stage.written()) == 50, what="all are handled meanwhile")
    worker.wait_for_line("the database is back")
    until(lambda: stage.slots(consumer)[0].acked == 50, what="the slot catches up")
    until(lambda: sum(minutes().values_list("acked", flat=True)) == 50, what="the buckets catch up")
    assert worker.text().count("the database is away") <= 2
    assert worker.terminate() == 0


def test_a_worker_ends_in_time_though_its_database_does_not_answer(stage: Stage) -> None:
    worker = stage.worker(wait_s=1.0)
    consumer = stage.consumer("orders")
    stage.wait_for(consumer, "running")
    with database_locked():
        assert worker.terminate(25) == 0
    assert "no answer in time" in worker.text()


def test_a_worker_that_is_started_while_the_database_is_away_waits_for_it(stage: Stage) -> None:
    consumer = stage.consumer("orders")
    with database_locked():
        worker = stage.worker(database_timeout=1)
        worker.wait_for_line("the database is away")
    stage.wait_for(consumer, "running")
    assert worker.terminate() == 0

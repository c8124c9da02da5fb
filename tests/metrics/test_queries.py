"""What pages read of the running system."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from stompconsole.metrics.queries import DeadLetterCounts, live, workers_ever
from stompconsole.metrics.series import Window
from stompconsole.metrics.spans import Span
from stompconsole.metrics.standing import Standing
from stompconsole.models import Purpose, WorkerState
from tests.dashboard import rows

pytestmark = pytest.mark.django_db


class Clock:
    """Goes on by itself by ``step`` each time it is looked at."""

    def __init__(self, step: float) -> None:
        self.now = 0.0
        self.step = step

    def __call__(self) -> float:
        self.now += self.step
        return self.now


def test_dead_letters_are_counted_by_consumer_in_all_and_in_the_last_hour() -> None:
    orders, mail = rows.make_consumer(), rows.make_consumer()
    rows.make_consumer()
    rows.make_letter(orders, ago_s=7200)
    rows.make_letter(orders, ago_s=60, error_type="TimeoutError", error_message="late")
    rows.make_letter(mail, ago_s=120)
    rows.make_letter(mail, ago_s=1, state="discarded")
    rows.make_letter(None, ago_s=180)
    counts = DeadLetterCounts().at(timezone.now())
    assert counts.by_consumer == {orders.pk: 2, mail.pk: 1, None: 1}
    assert (counts.total, counts.last_hour, counts.newest_error) == (4, 3, "TimeoutError: late")


def test_no_dead_letter_at_all_counts_nothing() -> None:
    counts = DeadLetterCounts().at(timezone.now())
    assert (counts.by_consumer, counts.total, counts.newest_at) == ({}, 0, None)


def test_counting_that_takes_long_is_done_less_often() -> None:
    clock = Clock(step=1.0)
    counts = DeadLetterCounts(clock)
    assert counts.at(timezone.now()).total == 0
    rows.make_letter(None)
    clock.step = 0.0
    assert counts.at(timezone.now()).total == 0
    clock.now += 20.0
    assert counts.at(timezone.now()).total == 1


def test_a_worker_that_is_not_heard_of_is_stale_and_one_that_said_goodbye_is_stopped() -> None:
    rows.make_worker(hostname="a", silent_s=1)
    rows.make_worker(hostname="b", silent_s=60)
    rows.make_worker(hostname="c", silent_s=60, state=WorkerState.STOPPED)
    rows.make_worker(hostname="d", silent_s=1, state=WorkerState.DRAINING)
    workers, _ = workers_ever()
    assert [worker.standing for worker in workers] == [
        Standing.RUNNING,
        Standing.STALE,
        Standing.STOPPED,
        Standing.DRAINING,
    ]


def test_a_worker_holds_the_slots_whose_lease_lives() -> None:
    worker = rows.make_worker()
    orders = rows.make_consumer()
    rows.make_slot(orders, worker)
    rows.make_slot(orders, worker, lease_s=-1)
    rows.make_slot(orders, worker, purpose=Purpose.CAPTURE)
    [line] = live(Window(Span.MINUTE)).workers
    assert line.slots == 1


def test_figures_are_of_the_slots_that_can_be_believed() -> None:
    orders = rows.make_running(name="orders", prefetch=50)
    rows.make_slot(orders, rows.make_worker(silent_s=60), received_per_s=1_000)
    rows.make_slot(orders, rows.make_worker(), purpose=Purpose.CAPTURE, received_per_s=1_000)
    line = live(Window(Span.MINUTE)).consumer("orders")
    assert line is not None
    assert line.figures is not None
    assert (line.figures.received_per_s, line.figures.in_flight, line.figures.prefetch) == (412, 18, 50)


def test_passwords_of_brokers_are_not_even_read() -> None:
    rows.make_running(broker=rows.make_broker(password="secret"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("stompconsole.models.secrets.EncryptedCharField.from_db_value", _refuse)
        assert live(Window(Span.MINUTE)).consumers


def _refuse(*_: object) -> None:
    raise AssertionError("a password was read")


def test_a_worker_of_yesterday_is_left_out_while_its_row_is_kept() -> None:
    rows.make_worker(silent_s=timedelta(hours=25).total_seconds())
    assert live(Window(Span.MINUTE)).workers == ()
    assert len(workers_ever()[0]) == 1

"""A large choice is frozen portion by portion, by the worker, and is never more than was chosen."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest
from django.utils import timezone

from stompconsole.dashboard.progress import progress_of
from stompconsole.deadletters import controlling, freezing, replay_rows, scheduling, selection, transitions
from stompconsole.deadletters.outcomes import Progress, progress
from stompconsole.deadletters.plans import PLAIN, Plan
from stompconsole.deadletters.scheduling import Chosen
from stompconsole.deadletters.selection import Filters
from stompconsole.models import (
    AuditEntry,
    Consumer,
    DeadLetter,
    DeadLetterState,
    FailureGroup,
    Replay,
    ReplayItem,
    ReplayState,
)
from tests.deadletters.engines import running_engine
from tests.deadletters.making import make_broker, make_consumer, make_dead_letters, make_worker
from tests.support.devbroker import RunningDevBroker, running_devbroker
from tests.support.waiting import until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.rows]

ORDERS = Filters(consumer="orders")


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """More than five are many; four are frozen in one go."""
    monkeypatch.setattr(freezing, "AT_ONCE", 5)
    monkeypatch.setattr(freezing, "PORTION", 4)


@pytest.fixture
def wire() -> Iterator[RunningDevBroker]:
    with running_devbroker() as running:
        yield running


@pytest.fixture
def consumer(wire: RunningDevBroker) -> Consumer:
    return make_consumer(make_broker(port=wire.port, receipt_timeout_s=1.0), name="orders")


def planned(filters: Filters = ORDERS, plan: Plan = PLAIN) -> Replay:
    seen = selection.preview(filters)
    found = selection.replay_matching(filters, as_of=seen.as_of, expected_count=seen.count, actor=None, plan=plan)
    assert found.replay is not None
    assert (found.chosen, found.skipped) == (seen.count, 0)
    return found.replay


def taken(replay: Replay) -> uuid.UUID:
    """The worker that has taken it."""
    worker = make_worker()
    assert replay_rows.take(worker.pk, 10.0, ()) == replay.pk
    return worker.pk


def states(*, of: str = "state") -> dict[str, int]:
    values = list(DeadLetter.objects.values_list(of, flat=True))
    return {value: values.count(value) for value in sorted(set(values))}


def test_a_small_choice_is_frozen_at_once(consumer: Consumer) -> None:
    make_dead_letters(consumer, 5)
    replay = planned()
    assert replay.unfrozen is None
    assert states() == {"replaying": 5}


def test_a_large_one_is_frozen_by_the_worker_a_portion_at_a_time(consumer: Consumer) -> None:
    make_dead_letters(consumer, 10)
    replay = planned()
    assert (replay.total, states()) == (10, {"dead": 10})
    worker = taken(replay)
    assert freezing.go_on(replay.pk, worker)
    assert states() == {"dead": 6, "replaying": 4}
    replay.refresh_from_db()
    assert progress(replay) == Progress(total=10, waiting=10)
    seen = progress_of(replay, timezone.now())
    assert (seen.waiting, seen.pace) == (10, "4 of 10 set aside for it so far")
    while freezing.go_on(replay.pk, worker):
        pass
    replay.refresh_from_db()
    assert (replay.total, replay.unfrozen, states()) == (10, None, {"replaying": 10})
    assert progress_of(replay, timezone.now()).to_freeze == 0


def test_many_retries_sent_now_are_frozen_by_the_worker_too(wire: RunningDevBroker, consumer: Consumer) -> None:
    make_dead_letters(consumer, 12, state="scheduled", due_at=timezone.now() + timedelta(hours=1))
    make_dead_letters(consumer, 3)
    matching = Chosen(filters=ORDERS, as_of=timezone.now(), count=12)
    done = scheduling.send_now(matching, actor=None)
    assert (done.count, done.skipped) == (12, 0)
    assert states() == {"dead": 3, "scheduled": 12}
    make_dead_letters(consumer, 1, state="scheduled", due_at=timezone.now() + timedelta(hours=1))
    with running_engine():
        until(lambda: Replay.objects.get().state == ReplayState.DONE, 20, "it is done")
    assert progress(Replay.objects.get()) == Progress(total=12, sent=12)
    assert states() == {"dead": 3, "scheduled": 1, "sent": 12}
    assert len(wire.bodies("/queue/orders")) == 12


def test_it_is_sent_once_all_of_it_is_frozen_and_each_once(wire: RunningDevBroker, consumer: Consumer) -> None:
    now = timezone.now()
    group = FailureGroup.objects.create(
        key="k", consumer=consumer, error_type="KeyError", first_failed_at=now, last_failed_at=now
    )
    make_dead_letters(consumer, 30, group=group)
    replay = planned()
    with running_engine():
        until(lambda: Replay.objects.get().state == ReplayState.DONE, 20, "it is done")
    assert progress(Replay.objects.get()) == Progress(total=30, sent=30)
    assert sorted(wire.bodies("/queue/orders"), key=int) == [str(number).encode() for number in range(30)]
    assert FailureGroup.objects.get().last_replay == replay


def test_one_that_starts_later_is_frozen_at_once_and_sent_then(wire: RunningDevBroker, consumer: Consumer) -> None:
    make_dead_letters(consumer, 10)
    replay = planned(plan=Plan(start_at=timezone.now() + timedelta(hours=1)))
    with running_engine():
        until(lambda: states() == {"replaying": 10}, 20, "all are frozen")
        until(lambda: Replay.objects.get().worker is None, 20, "it is left")
        replay.refresh_from_db()
        assert (replay.state, replay.unfrozen, wire.bodies("/queue/orders")) == ("waiting", None, [])
        Replay.objects.update(start_at=timezone.now())
        until(lambda: Replay.objects.get().state == ReplayState.DONE, 20, "it is done")
    assert len(wire.bodies("/queue/orders")) == 10


def test_what_has_gone_meanwhile_is_left_out_and_what_has_come_is_not_in_it(consumer: Consumer) -> None:
    rows = make_dead_letters(consumer, 10)
    replay = planned()
    make_dead_letters(consumer, 3, state_at=timezone.now())
    transitions.discard(transitions.by_id([rows[0].pk]), timezone.now())
    transitions.discard(transitions.by_id([rows[1].pk]), timezone.now())
    selection.undo_discard([rows[1].pk], actor=None)
    worker = taken(replay)
    while freezing.go_on(replay.pk, worker):
        pass
    replay.refresh_from_db()
    assert replay.total == 8
    assert set(replay.items.values_list("dead_letter", flat=True)) == {row.pk for row in rows[2:]}


def test_of_two_that_overlap_each_message_is_in_one(consumer: Consumer) -> None:
    make_dead_letters(consumer, 10)
    first, second = planned(), planned()
    workers = {replay.pk: taken(replay) for replay in (first, second)}
    while sum(freezing.go_on(*each) for each in workers.items()):
        pass
    assert ReplayItem.objects.count() == 10
    assert Replay.objects.get(pk=first.pk).total + Replay.objects.get(pk=second.pk).total == 10


def test_the_group_knows_of_its_replay_at_once(consumer: Consumer) -> None:
    now = timezone.now()
    group = FailureGroup.objects.create(
        key="k", consumer=consumer, error_type="KeyError", first_failed_at=now, last_failed_at=now
    )
    make_dead_letters(consumer, 10, group=group)
    replay = planned(Filters(group=str(group.pk)))
    assert FailureGroup.objects.get().last_replay == replay, "or what is expected would be replayed again and again"


def test_one_of_which_nothing_is_left_ends_as_done(wire: RunningDevBroker, consumer: Consumer) -> None:
    make_dead_letters(consumer, 10)
    planned()
    DeadLetter.objects.update(state=DeadLetterState.DISCARDED)
    with running_engine():
        until(lambda: Replay.objects.get().state == ReplayState.DONE, 20, "it is done")
    assert Replay.objects.get().total == 0
    assert wire.bodies("/queue/orders") == []


def test_cancelled_half_way_it_gives_all_back_and_goes_on_no_more(consumer: Consumer) -> None:
    make_dead_letters(consumer, 10)
    replay = planned()
    worker = taken(replay)
    assert freezing.go_on(replay.pk, worker)
    assert controlling.cancel_replay(replay.pk, actor=None)
    assert not freezing.go_on(replay.pk, worker)
    replay_rows.clear_cancelled(replay.pk, worker)
    replay.refresh_from_db()
    assert (replay.total, replay.unfrozen, states()) == (4, None, {"dead": 10})
    assert progress(replay) == Progress(total=4, skipped=4)


def test_a_paused_one_rests_and_another_worker_goes_on(consumer: Consumer) -> None:
    make_dead_letters(consumer, 10)
    replay = planned()
    worker = taken(replay)
    assert freezing.go_on(replay.pk, worker)
    assert controlling.pause_replay(replay.pk, actor=None)
    assert not freezing.go_on(replay.pk, worker)
    assert controlling.resume_replay(replay.pk, actor=None)
    replay_rows.give_up_lease(replay.pk, worker)
    other = taken(replay)
    assert not freezing.go_on(replay.pk, worker), "it is not that worker's any more"
    while freezing.go_on(replay.pk, other):
        pass
    assert states() == {"replaying": 10}


def test_it_is_not_done_while_some_of_it_is_not_frozen(consumer: Consumer) -> None:
    make_dead_letters(consumer, 10)
    replay = planned()
    worker = taken(replay)
    assert not replay_rows.finish(replay.pk, worker, "here:1")


def test_a_span_back_from_now_means_the_now_of_the_operator(consumer: Consumer) -> None:
    now = timezone.now()
    make_dead_letters(consumer, 8, failed_at=now - timedelta(hours=1) + timedelta(minutes=1))
    replay = planned(Filters(consumer="orders", failed_after="1h"))
    later = Filters(**replay.unfrozen["filters"])
    assert later.failed_before == ""
    assert abs(datetime.fromisoformat(later.failed_after) - (now - timedelta(hours=1))) < timedelta(seconds=30)


def test_more_than_were_counted_are_refused_and_leave_no_replay(consumer: Consumer) -> None:
    make_dead_letters(consumer, 10)
    seen = selection.preview(ORDERS)
    found = selection.replay_matching(ORDERS, as_of=seen.as_of, expected_count=9, actor=None)
    assert found.replay is None
    assert "9" in found.refusal
    assert "10" in found.refusal
    assert not Replay.objects.exists()
    assert not AuditEntry.objects.exists()

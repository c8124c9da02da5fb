"""Retries that are due: gathered by consumer, sent once, on where they were, whatever else is being replayed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.utils import timezone

from stompconsole.deadletters import due, retention, selection
from stompconsole.deadletters.outcomes import progress, record_processed
from stompconsole.deadletters.plans import Plan
from stompconsole.delivery import envelope
from stompconsole.models import AuditEntry, Consumer, DeadLetter, FailureGroup, Replay, ReplayItem, ReplayState
from tests.deadletters.engines import running_engine, start_engine
from tests.deadletters.making import Captures, died, make_broker, make_consumer, make_dead_letters, make_worker, ours
from tests.deadletters.test_two_operators import at_once
from tests.support.devbroker import RunningDevBroker, running_devbroker
from tests.support.ports import free_port
from tests.support.waiting import until

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def wire() -> Iterator[RunningDevBroker]:
    with running_devbroker() as running:
        yield running


@pytest.fixture
def consumer(wire: RunningDevBroker) -> Consumer:
    return make_consumer(make_broker(port=wire.port, receipt_timeout_s=1.0))


def scheduled(consumer: Consumer | None, count: int, *, in_s: float = -1.0, **fields: object) -> list[DeadLetter]:
    at = timezone.now() + timedelta(seconds=in_s)
    return make_dead_letters(consumer, count, state="scheduled", due_at=at, retry_step=1, attempts=3, **fields)


def states() -> set[str]:
    return set(DeadLetter.objects.values_list("state", flat=True))


def test_what_is_due_becomes_one_replay_for_each_consumer(consumer: Consumer) -> None:
    other = make_consumer()
    scheduled(consumer, 3)
    scheduled(other, 1)
    (later,) = scheduled(consumer, 1, in_s=60)
    wait_s = due.gather()
    assert wait_s is not None
    assert 55 < wait_s <= 60
    made = {replay.consumer: (replay.total, replay.selection) for replay in Replay.objects.all()}
    assert made == {
        consumer: (3, f"scheduled retries of {consumer.name}"),
        other: (1, f"scheduled retries of {other.name}"),
    }
    later.refresh_from_db()
    assert later.state == "scheduled"


def test_nothing_due_writes_nothing(consumer: Consumer) -> None:
    make_dead_letters(consumer, 2)
    assert due.gather() is None
    assert not Replay.objects.exists()


def test_while_retries_of_a_consumer_are_being_sent_others_of_it_wait(consumer: Consumer) -> None:
    scheduled(consumer, 1)
    due.gather()
    scheduled(consumer, 2)
    scheduled(make_consumer(), 1)
    due.gather()
    assert sorted(Replay.objects.values_list("total", flat=True)) == [1, 1]
    Replay.objects.filter(consumer=consumer).update(state=ReplayState.PAUSED)
    due.gather()
    assert sorted(Replay.objects.values_list("total", flat=True)) == [1, 1, 2], "a paused one holds up nothing else"


def test_many_that_are_due_are_taken_by_the_portion_the_oldest_first(
    consumer: Consumer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(due, "MOST_AT_ONCE", 2)
    rows = [row for in_s in (-1.0, -3.0, -2.0) for row in scheduled(consumer, 1, in_s=in_s)]
    due.gather()
    taken = set(ReplayItem.objects.values_list("dead_letter_id", flat=True))
    assert taken == {rows[1].pk, rows[2].pk}


def test_workers_that_look_at_the_same_time_take_each_retry_once(consumer: Consumer) -> None:
    scheduled(consumer, 30)
    at_once(*[due.gather] * 4)
    due.gather()
    assert ReplayItem.objects.count() == 30
    assert sum(Replay.objects.values_list("total", flat=True)) == 30
    assert not Replay.objects.filter(total=0).exists()


@pytest.mark.long
def test_a_retry_is_sent_back_in_time_with_what_it_went_through(wire: RunningDevBroker, consumer: Consumer) -> None:
    (row,) = scheduled(consumer, 1, in_s=0.5)
    with running_engine():
        until(lambda: wire.messages("/queue/orders"), 3, "it is back within a second or two of its time")
        until(lambda: states() == {"sent"}, 10, "its receipt is written down")
    (message,) = wire.messages("/queue/orders")
    replay = Replay.objects.get()
    assert message.headers[envelope.DEAD_LETTER_ID] == str(row.pk)
    assert message.headers[envelope.REPLAY_ID] == str(replay.pk)
    found = envelope.earlier(message.headers, consumer.name)
    assert found is not None
    assert (found.attempts, found.retry_step, found.first_failed_at) == (3, 1, row.first_failed_at)


def test_a_routine_of_retries_fills_neither_the_audit_nor_a_group_s_last_replay(
    wire: RunningDevBroker, consumer: Consumer
) -> None:
    captures = Captures(consumer)
    captures.give((died(due_at=timezone.now(), retry_step=1), b"1"))
    with running_engine():
        until(lambda: states() == {"sent"}, 10, "it is sent")
        until(lambda: Replay.objects.get().state == ReplayState.DONE, 10, "the replay is done")
    assert not AuditEntry.objects.exists()
    assert FailureGroup.objects.get().last_replay is None


def test_retries_do_not_wait_behind_replays_that_take_long(wire: RunningDevBroker, consumer: Consumer) -> None:
    for _ in range(5):
        rows = make_dead_letters(consumer, 50)
        assert selection.replay_selected([row.pk for row in rows], actor=None, plan=Plan(rate=0.01)).replay
    with running_engine():
        until(
            lambda: Replay.objects.filter(state=ReplayState.RUNNING).count() == 4, 10, "the worker has its hands full"
        )
        (row,) = scheduled(consumer, 1)
        until(lambda: DeadLetter.objects.get(pk=row.pk).state == "sent", 10, "it is sent all the same")


def test_while_the_broker_is_away_one_replay_waits_and_says_so() -> None:
    consumer = make_consumer(make_broker(port=free_port(), connect_timeout_s=0.5))
    scheduled(consumer, 2)
    with running_engine():
        until(lambda: Replay.objects.filter(note__gt="").exists(), 20, "it says why it waits")
        scheduled(consumer, 2)
        due.gather()
    assert Replay.objects.count() == 1


def test_a_retry_whose_consumer_is_deleted_is_dead_with_the_reason() -> None:
    scheduled(None, 1)
    with running_engine():
        until(lambda: states() == {"dead"}, 10, "it is given up")
    assert "consumer has been deleted" in ReplayItem.objects.get().note


@pytest.mark.slow
def test_a_worker_killed_between_send_and_receipt_sends_none_less_and_what_has_its_receipt_once(
    wire: RunningDevBroker, consumer: Consumer
) -> None:
    scheduled(consumer, 600)
    with start_engine(make_worker().pk, lease_s=2.0) as engine:
        engine.wait_for_line("running")
        until(lambda: DeadLetter.objects.filter(state="sent").exists(), 30, "some are sent")
        engine.kill()
    had_receipt = {str(pk) for pk in DeadLetter.objects.filter(state="sent").values_list("pk", flat=True)}
    with running_engine():
        until(lambda: states() == {"sent"}, 40, "another worker sends the rest")
    sent = [message.headers[envelope.DEAD_LETTER_ID] for message in wire.messages("/queue/orders")]
    assert set(sent) == {str(pk) for pk in DeadLetter.objects.values_list("pk", flat=True)}
    doubled = {pk for pk in sent if sent.count(pk) > 1}
    assert not doubled & had_receipt
    said = {str(pk) for pk in ReplayItem.objects.filter(doubtful=True).values_list("dead_letter_id", flat=True)}
    assert doubled <= said, "what was sent twice is said by id"


def test_what_fails_again_waits_for_its_next_step_and_is_dead_after_the_last(consumer: Consumer) -> None:
    captures = Captures(consumer)
    now = timezone.now()
    first = died(due_at=now, retry_step=1)
    captures.give((first, b"1"))
    pk, _ = ours(first)
    due.gather()
    replay = Replay.objects.get()
    again = {"dead_letter_id": str(pk), "replay_id": str(replay.pk)}
    captures.give((died(**again, due_at=now + timedelta(hours=1), retry_step=2, attempts=4), b"1"))
    row = DeadLetter.objects.get()
    assert (row.state, row.retry_step, row.attempts) == ("scheduled", 2, 4)
    assert row.due_at == now + timedelta(hours=1)
    assert progress(replay).failed_again == 1

    due.gather(now + timedelta(hours=2))
    captures.give((died(dead_letter_id=str(pk), replay_id=str(Replay.objects.first().pk), attempts=5), b"1"))  # type: ignore[union-attr]
    row.refresh_from_db()
    assert (row.state, row.due_at, row.retry_step, row.attempts) == ("dead", None, 0, 5)
    assert row.failures.count() == 3


def test_a_retry_that_is_handled_is_processed(consumer: Consumer) -> None:
    (row,) = scheduled(consumer, 1)
    due.gather()
    assert record_processed([(str(row.pk), str(Replay.objects.get().pk))]) == 1
    assert states() == {"processed"}


def test_routine_replays_of_which_nothing_is_kept_are_forgotten(consumer: Consumer) -> None:
    for name in ("gone", "kept", "going on"):
        scheduled(consumer, 1, message_id=name)
        due.gather()
        state = ReplayState.PAUSED if name == "going on" else ReplayState.DONE
        Replay.objects.filter(items__dead_letter__message_id=name).update(state=state)
    old = timezone.now() - timedelta(days=60)
    DeadLetter.objects.exclude(message_id="kept").update(state="processed", state_at=old)
    assert retention.purge().processed == 2
    assert list(DeadLetter.objects.values_list("message_id", flat=True)) == ["kept"]
    assert sorted(Replay.objects.values_list("state", flat=True)) == ["done", "paused"]

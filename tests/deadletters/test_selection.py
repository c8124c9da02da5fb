"""What operators do: frozen, counted, audited, and never twice."""

from __future__ import annotations

import uuid
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from stompconsole.deadletters import controlling, selection, transitions
from stompconsole.deadletters.outcomes import Progress, progress
from stompconsole.deadletters.selection import Filters
from stompconsole.models import (
    AuditEntry,
    Consumer,
    DeadLetter,
    DeadLetterState,
    Replay,
    ReplayItem,
    ReplayItemState,
    ReplayState,
)
from tests.deadletters.making import make_consumer, make_dead_letters, make_worker

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def consumer() -> Consumer:
    return make_consumer(name="orders")


@pytest.fixture
def operator() -> User:
    return User.objects.create_user("ada")


def states() -> dict[str, int]:
    values = list(DeadLetter.objects.values_list("state", flat=True))
    return {state: values.count(state) for state in set(values)}


def test_the_selected_are_replayed_and_the_rest_is_left_alone(consumer: Consumer, operator: User) -> None:
    rows = make_dead_letters(consumer, 5)
    planned = selection.replay_selected(
        [rows[0].pk, rows[1].pk, rows[1].pk], actor=operator, reason="fixed in 4.2", remote_address="10.0.0.1"
    )
    replay = planned.replay
    assert replay is not None
    assert (planned.chosen, planned.skipped, planned.refusal) == (2, 0, "")
    assert (replay.state, replay.total, replay.created_by, replay.reason) == ("waiting", 2, operator, "fixed in 4.2")
    assert states() == {"replaying": 2, "dead": 3}
    assert progress(replay) == Progress(total=2, waiting=2)


def test_a_replay_is_audited_with_who_why_and_what(consumer: Consumer, operator: User) -> None:
    rows = make_dead_letters(consumer, 1)
    selection.replay_selected([rows[0].pk], actor=operator, reason="try\0 again", remote_address="10.0.0.1")
    entry = AuditEntry.objects.get()
    assert (entry.actor, entry.action, entry.remote_address) == (operator, "replay created", "10.0.0.1")
    assert entry.detail == "try\N{REPLACEMENT CHARACTER} again"
    assert entry.data["ids"] == [str(rows[0].pk)]


def test_what_is_not_dead_or_not_there_is_skipped_and_counted(consumer: Consumer, operator: User) -> None:
    dead = make_dead_letters(consumer, 1)[0]
    sent = make_dead_letters(consumer, 1, state=DeadLetterState.SENT)[0]
    planned = selection.replay_selected([dead.pk, sent.pk, uuid.uuid4()], actor=operator)
    assert (planned.chosen, planned.skipped) == (1, 2)


def test_a_second_click_finds_nothing_left_and_leaves_no_replay(consumer: Consumer, operator: User) -> None:
    ids = [row.pk for row in make_dead_letters(consumer, 3)]
    selection.replay_selected(ids, actor=operator)
    second = selection.replay_selected(ids, actor=operator)
    assert second.replay is None
    assert (second.chosen, second.skipped) == (0, 3)
    assert "replayed or discarded in the meantime" in second.refusal
    assert Replay.objects.count() == 1
    assert AuditEntry.objects.count() == 1


def test_all_that_match_are_replayed_as_they_were_counted(consumer: Consumer, operator: User) -> None:
    make_dead_letters(consumer, 4)
    make_dead_letters(None, 2)
    filters = Filters(consumer="orders")
    seen = selection.preview(filters)
    make_dead_letters(consumer, 3, body=b"came later")
    planned = selection.replay_matching(filters, as_of=seen.as_of, expected_count=seen.count, actor=operator)
    assert (planned.chosen, planned.skipped) == (4, 0)
    assert states() == {"replaying": 4, "dead": 5}
    assert AuditEntry.objects.get().consumer == consumer


def test_what_went_since_it_was_counted_is_skipped(consumer: Consumer, operator: User) -> None:
    rows = make_dead_letters(consumer, 3)
    seen = selection.preview(Filters())
    selection.discard_selected([rows[0].pk], actor=operator)
    selection.undo_discard([rows[0].pk], actor=operator)
    selection.discard_selected([rows[1].pk], actor=operator)
    planned = selection.replay_matching(Filters(), as_of=seen.as_of, expected_count=seen.count, actor=operator)
    assert (planned.chosen, planned.skipped) == (1, 2), "one is discarded, one came back after the count"


def test_more_than_was_counted_is_refused(consumer: Consumer, operator: User) -> None:
    make_dead_letters(consumer, 3)
    planned = selection.replay_matching(Filters(), as_of=timezone.now(), expected_count=2, actor=operator)
    discarded = selection.discard_matching(Filters(), as_of=timezone.now(), expected_count=2, actor=operator)
    assert planned.replay is None
    assert planned.refusal == discarded.refusal
    assert planned.refusal.startswith("3 match now, 2 were counted. Nothing was changed")
    assert states() == {"dead": 3}
    assert not Replay.objects.exists()
    assert not AuditEntry.objects.exists()


def test_freezing_many_takes_no_more_queries_than_freezing_few(consumer: Consumer, operator: User) -> None:
    counts = []
    for number in (2, 300):
        make_dead_letters(consumer, number)
        seen = selection.preview(Filters(consumer="orders"))
        with CaptureQueriesContext(connection) as queries:
            planned = selection.replay_matching(
                Filters(consumer="orders"), as_of=seen.as_of, expected_count=seen.count, actor=operator
            )
        assert planned.chosen == number
        counts.append(len(queries))
    assert counts[0] == counts[1]


def test_a_choice_by_nonsense_chooses_nothing(consumer: Consumer, operator: User) -> None:
    make_dead_letters(consumer, 2)
    filters = Filters(consumer="unheard-of")
    assert selection.replay_matching(filters, as_of=timezone.now(), expected_count=0, actor=operator).replay is None
    assert selection.replay_selected([], actor=operator).replay is None
    assert states() == {"dead": 2}


def test_cancelling_a_replay_nobody_carries_out_gives_all_back(consumer: Consumer, operator: User) -> None:
    rows = make_dead_letters(consumer, 3)
    replay = selection.replay_selected([row.pk for row in rows], actor=operator).replay
    assert replay is not None
    transitions.mark_sent(replay.pk, [rows[0].pk], timezone.now())
    assert controlling.cancel_replay(replay.pk, actor=operator)
    replay.refresh_from_db()
    assert (replay.state, replay.note) == (ReplayState.CANCELLED, "cancelled by ada")
    assert replay.finished_at is not None
    assert states() == {"dead": 2, "sent": 1}
    assert progress(replay) == Progress(total=3, sent=1, skipped=2)
    assert not controlling.cancel_replay(replay.pk, actor=operator), "it has ended"
    again = selection.replay_selected([row.pk for row in rows], actor=operator)
    assert (again.chosen, again.skipped) == (2, 1)


def test_cancelling_a_replay_that_is_carried_out_leaves_the_rest_to_its_worker(
    consumer: Consumer, operator: User
) -> None:
    rows = make_dead_letters(consumer, 2)
    replay = selection.replay_selected([row.pk for row in rows], actor=operator).replay
    assert replay is not None
    Replay.objects.update(worker=make_worker(), lease_until=timezone.now() + timedelta(seconds=60))
    assert controlling.cancel_replay(replay.pk, actor=operator)
    assert states() == {"replaying": 2}, "some may be on the wire: only the worker knows"
    assert ReplayItem.objects.filter(state=ReplayItemState.WAITING).count() == 2


def test_discarding_can_be_undone_one_by_one(consumer: Consumer, operator: User) -> None:
    rows = make_dead_letters(consumer, 3)
    done = selection.discard_selected([row.pk for row in rows] + [uuid.uuid4()], actor=operator, reason="test data")
    assert (done.count, done.skipped) == (3, 1)
    assert states() == {"discarded": 3}
    undone = selection.undo_discard([rows[0].pk, uuid.uuid4()], actor=operator)
    assert (undone.count, undone.skipped) == (1, 1)
    assert states() == {"discarded": 2, "dead": 1}
    assert set(AuditEntry.objects.values_list("action", flat=True)) == {"dead letters discarded", "discard undone"}


def test_an_act_of_discarding_can_be_undone_as_a_whole(consumer: Consumer, operator: User) -> None:
    make_dead_letters(consumer, 1, state=DeadLetterState.DISCARDED)
    make_dead_letters(consumer, 4)
    done = selection.discard_matching(Filters(), as_of=timezone.now(), expected_count=4, actor=operator)
    assert done.count == 4
    undone = selection.undo_discard_of(done.at, actor=operator)
    assert undone.count == 4
    assert states() == {"discarded": 1, "dead": 4}
    assert "Nothing to undo" in selection.undo_discard_of(done.at, actor=operator).refusal


def test_a_discard_can_t_be_undone_for_ever(consumer: Consumer, operator: User) -> None:
    row = make_dead_letters(consumer, 1)[0]
    done = selection.discard_selected([row.pk], actor=operator)
    DeadLetter.objects.update(state_at=timezone.now() - timedelta(days=8))
    assert selection.undo_discard([row.pk], actor=operator).refusal
    assert selection.undo_discard_of(done.at, actor=operator).refusal
    assert states() == {"discarded": 1}


def test_what_is_being_replayed_can_t_be_discarded(consumer: Consumer, operator: User) -> None:
    rows = make_dead_letters(consumer, 2)
    selection.replay_selected([rows[0].pk], actor=operator)
    assert selection.discard_selected([row.pk for row in rows], actor=operator).count == 1
    assert not selection.discard_selected([rows[0].pk], actor=operator).count
    assert states() == {"replaying": 1, "discarded": 1}


def test_an_act_without_a_user_is_recorded_as_the_system_s(consumer: Consumer) -> None:
    row = make_dead_letters(consumer, 1)[0]
    selection.discard_selected([row.pk], actor=None)
    assert AuditEntry.objects.get().actor_name == "the system"

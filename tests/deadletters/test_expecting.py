"""Failures that are expected."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from stompconsole.deadletters import expecting, freezing
from stompconsole.delivery.breaker import PAUSED
from stompconsole.models import (
    AuditEntry,
    Consumer,
    DeadLetter,
    Expected,
    FailureGroup,
    Replay,
    ReplayState,
    Subscription,
)
from tests.deadletters.making import Captures, died, make_consumer, make_worker

pytestmark = pytest.mark.django_db(transaction=True)


def a_group(expected: Expected, count: int = 3) -> FailureGroup:
    """A group of dead letters that died an hour ago, of a consumer that runs."""
    consumer = make_consumer()
    hour_ago = timezone.now() - timedelta(hours=1)
    Captures(consumer).give(*((died(consumer=consumer.name, failed_at=hour_ago), b"") for _ in range(count)))
    Subscription.objects.create(consumer=consumer, purpose="consume", slot="0", state="running", worker=make_worker())
    FailureGroup.objects.update(expected=expected)
    return FailureGroup.objects.get()


def states() -> set[str]:
    return set(DeadLetter.objects.values_list("state", flat=True))


def test_what_is_not_expected_is_left_alone() -> None:
    a_group(Expected.NO)
    assert expecting.act() == 0
    assert states() == {"dead"}


def test_an_expected_failure_is_discarded_with_the_reason_in_the_audit() -> None:
    a_group(Expected.DISCARD)
    assert expecting.act() == 1
    assert states() == {"discarded"}
    assert AuditEntry.objects.get().detail == "expected"
    assert expecting.act() == 0


def test_many_are_discarded_some_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(expecting, "DISCARDED_AT_ONCE", 2)
    a_group(Expected.DISCARD, 5)
    left = []
    while expecting.act():
        left.append(DeadLetter.objects.filter(state="dead").count())
    assert left == [3, 1, 0]


def test_many_are_replayed_by_one_replay_that_the_worker_freezes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(freezing, "AT_ONCE", 2)
    a_group(Expected.REPLAY, 5)
    assert expecting.act() == 1
    assert (Replay.objects.get().total, states()) == (5, {"dead"})
    assert expecting.act() == 0, "it is under way"


def test_an_expected_failure_of_a_healthy_consumer_is_replayed_by_a_canary() -> None:
    group = a_group(Expected.REPLAY)
    assert expecting.act() == 1
    replay = Replay.objects.get()
    assert (replay.total, replay.canary, replay.stop_on_same, replay.reason) == (3, [1, 5, 25], True, "expected")
    assert expecting.act() == 0, "it is under way"
    group.refresh_from_db()
    assert group.last_replay == replay


@pytest.mark.parametrize("trouble", ["paused", "not running", "failing", "gone"])
def test_a_consumer_that_is_not_healthy_is_spared(trouble: str) -> None:
    a_group(Expected.REPLAY)
    match trouble:
        case "paused":
            Consumer.objects.update(paused=True)
        case "not running":
            Subscription.objects.update(state="backing off")
        case "failing":
            FailureGroup.objects.update(last_failed_at=timezone.now())
        case _:
            FailureGroup.objects.update(consumer=None)
    assert expecting.act() == 0
    assert states() == {"dead"}


def test_a_consumer_with_an_open_breaker_is_spared_though_another_slot_of_it_runs() -> None:
    consumer = a_group(Expected.REPLAY).consumer
    reason = f"{PAUSED}: 5 failures in a row, last ConnectionError: no; trying one message"
    worker = Subscription.objects.get().worker
    tripped = Subscription.objects.create(
        consumer=consumer, slot="1", state="backing off", reason=reason, worker=worker
    )
    assert expecting.act() == 0
    tripped.worker = None
    tripped.save()
    assert expecting.act() == 1, "nobody has that slot any more"


def test_a_replay_that_was_stopped_is_tried_again_only_after_a_while() -> None:
    a_group(Expected.REPLAY)
    expecting.act()
    Replay.objects.update(state=ReplayState.STOPPED)
    DeadLetter.objects.update(state="dead")
    assert expecting.act() == 0
    assert expecting.act(timezone.now() + timedelta(minutes=11)) == 0, "its items are still in that replay"
    Replay.objects.get().items.update(active=False)
    assert expecting.act(timezone.now() + timedelta(minutes=11)) == 1


def test_what_was_replayed_again_and_again_is_left_for_a_person() -> None:
    a_group(Expected.REPLAY)
    DeadLetter.objects.update(replays=5)
    assert expecting.act() == 0

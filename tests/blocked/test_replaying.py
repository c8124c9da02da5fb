"""Replaying to a broker that takes nothing: it waits and says why, goes on by itself, and sends nothing twice."""

from __future__ import annotations

from collections import Counter

import pytest

from stompconsole.deadletters import controlling, selection
from stompconsole.deadletters.outcomes import Progress, progress
from stompconsole.delivery.envelope import DEAD_LETTER_ID
from stompconsole.models import Consumer, DeadLetter, Replay, ReplayState
from tests.deadletters.engines import running_engine
from tests.deadletters.making import make_broker, make_consumer, make_dead_letters
from tests.delivery.running import is_empty, take_all, take_rest
from tests.support.blockades import Blockade
from tests.support.waiting import until

pytestmark = [pytest.mark.broker, pytest.mark.django_db(transaction=True)]

TOTAL = 30


def replay_of(consumer: Consumer) -> Replay:
    rows = make_dead_letters(consumer, TOTAL)
    replay = selection.replay_selected([row.pk for row in rows], actor=None).replay
    assert replay is not None
    return replay


def note(replay: Replay) -> str:
    replay.refresh_from_db()
    return replay.note


def state(replay: Replay) -> str:
    replay.refresh_from_db()
    return replay.state


def test_a_replay_waits_with_the_reason_and_goes_on_by_itself_each_message_once(
    blockade: Blockade, destination: str
) -> None:
    consumer = make_consumer(make_broker(blockade.broker, receipt_timeout_s=1.0), destination=destination)
    blockade.block()
    replay = replay_of(consumer)
    with running_engine():
        until(lambda: blockade.words in note(replay), 20, "it says why it waits")
        seen = progress(replay)
        # An alarm lets what is first on a connection pass.
        assert seen == Progress(total=TOTAL, sent=seen.sent, waiting=TOTAL - seen.sent)
        assert seen.waiting > 0
        until(lambda: replay.items.exclude(note="").exists() or blockade.refuses, 5, "what may be there is said so")
        blockade.clear()
        until(lambda: state(replay) == ReplayState.DONE, 30, "it goes on by itself")
    assert progress(replay) == Progress(total=TOTAL, sent=TOTAL)
    assert (replay.note, set(replay.items.values_list("note", flat=True))) == ("", {""})
    assert set(DeadLetter.objects.values_list("state", "replays")) == {("sent", 1)}
    assert sorted(take_all(consumer.broker.spec(), destination, TOTAL)) == list(range(TOTAL))
    assert is_empty(consumer.broker.spec(), destination), "none was sent twice"


def test_a_replay_that_is_cancelled_meanwhile_says_what_may_still_arrive(
    full_store: Blockade, destination: str
) -> None:
    consumer = make_consumer(make_broker(full_store.broker, receipt_timeout_s=1.0), destination=destination)
    full_store.block()
    try:
        replay = replay_of(consumer)
        with running_engine():
            until(lambda: replay.items.exclude(note="").count() == 1, 20, "one is on its way")
            controlling.cancel_replay(replay.pk, actor=None)
            until(lambda: progress(replay).skipped == TOTAL, 20, "all are given back")
    finally:
        full_store.clear()
    assert replay.items.filter(note__contains="may still arrive").count() == 1
    assert set(DeadLetter.objects.values_list("state", flat=True)) == {"dead"}


def test_a_replay_left_by_its_worker_says_what_the_next_one_may_have_sent_twice(
    memory_alarm: Blockade, destination: str
) -> None:
    consumer = make_consumer(make_broker(memory_alarm.broker, receipt_timeout_s=1.0), destination=destination)
    memory_alarm.block()
    try:
        replay = replay_of(consumer)
        with running_engine():
            until(lambda: replay.items.exclude(note="").exists(), 20, "some are on their way")
        doubted = set(replay.items.exclude(note="").values_list("dead_letter", flat=True))
    finally:
        memory_alarm.clear()
    with running_engine():
        until(lambda: state(replay) == ReplayState.DONE, 30, "the next worker goes on")
    told = replay.items.filter(note__contains="may have arrived twice").values_list("dead_letter", flat=True)
    assert set(told) == doubted
    arrived = Counter(payload.headers[DEAD_LETTER_ID] for payload in take_rest(consumer.broker.spec(), destination))
    assert set(arrived) == {str(pk) for pk in replay.items.values_list("dead_letter", flat=True)}
    # Not all of those need to have: RabbitMQ may drop what it had not read yet of a connection that is gone.
    assert {pk for pk, times in arrived.items() if times > 1} <= {str(pk) for pk in doubted}, "no others came twice"

"""Replays to real brokers, whose worker is killed, or whose broker is: none is lost, and what came twice is named."""

from __future__ import annotations

from collections import Counter

import pytest

from stompconsole.deadletters import portions
from stompconsole.deadletters.outcomes import Progress, progress
from stompconsole.delivery import envelope
from stompconsole.models import Consumer, Replay, ReplayItem, ReplayItemState
from tests.deadletters.engines import running_engine, start_engine
from tests.deadletters.making import make_broker, make_consumer, make_dead_letters, make_worker
from tests.deadletters.test_replaying import replay_of, wait_done
from tests.delivery.running import take_rest
from tests.support.brokers import TestBroker
from tests.support.waiting import until

pytestmark = [pytest.mark.broker, pytest.mark.slow, pytest.mark.django_db(transaction=True)]

TOTAL = 4_000


@pytest.fixture(params=["rabbitmq", "activemq", "activemq6", "artemis"])
def broker(request: pytest.FixtureRequest) -> TestBroker:
    made: TestBroker = request.getfixturevalue(request.param)
    return made


@pytest.fixture
def consumer(broker: TestBroker, destination: str) -> Consumer:
    return make_consumer(make_broker(broker), destination=destination)


def replay_to(consumer: Consumer) -> Replay:
    return replay_of(make_dead_letters(consumer, TOTAL, origin=consumer.destination))


def some_are_sent(replay: Replay) -> None:
    sent = replay.items.filter(state=ReplayItemState.SENT)
    until(lambda: sent.count() >= 400, 30, "the first portion is sent")


def arrived(consumer: Consumer) -> Counter[str]:
    """What is in the queue, by dead letter; all of them are waited for.

    Artemis drops what a worker sends again after another one was killed, and confirms it; what that one had sent comes
    at times after what is sent to the queue then.
    """
    came: Counter[str] = Counter()

    def all_came() -> bool:
        rest = take_rest(consumer.broker.spec(), consumer.destination)
        came.update(payload.headers[envelope.DEAD_LETTER_ID] for payload in rest)
        return len(came) == TOTAL

    until(all_came, 30, lambda: f"{TOTAL} dead letters arrive, not {len(came)}")
    return came


def assert_none_is_lost(replay: Replay, ledger: Counter[str]) -> None:
    items = ReplayItem.objects.filter(replay=replay)
    assert set(ledger) == {str(pk) for pk in items.values_list("dead_letter", flat=True)}
    doubtful = {str(pk) for pk in items.filter(doubtful=True).values_list("dead_letter", flat=True)}
    assert {pk for pk, count in ledger.items() if count > 1} <= doubtful, "what came twice is named"
    assert len(doubtful) <= 3 * portions.PORTION


def test_a_worker_that_is_killed_loses_nothing(consumer: Consumer) -> None:
    replay = replay_to(consumer)
    with start_engine(make_worker().pk, lease_s=2.0) as process:
        some_are_sent(replay)
        process.kill()
    assert progress(replay).waiting > 0, "it was killed in the middle"
    with running_engine():
        assert wait_done(replay, 60.0) == Progress(total=TOTAL, sent=TOTAL)
    assert_none_is_lost(replay, arrived(consumer))


def test_a_broker_that_is_killed_loses_nothing(broker: TestBroker, consumer: Consumer) -> None:
    replay = replay_to(consumer)
    with running_engine():
        some_are_sent(replay)
        broker.kill()
        assert progress(replay).waiting > 0, "it was killed in the middle"
        broker.start()
        assert wait_done(replay, 60.0) == Progress(total=TOTAL, sent=TOTAL)
    assert_none_is_lost(replay, arrived(consumer))

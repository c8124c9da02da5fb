"""Whether a queue is empty: what brokers say, and what their silence says."""

from __future__ import annotations

import pytest

from stompconsole.brokers import dialect_for
from stompconsole.delivery.emptiness import Emptiness, Silence, ask
from stompconsole.delivery.specs import SubscriptionState
from stompconsole.delivery.status import RunnerStatus
from tests.contract.client import Client
from tests.support.brokers import TestBroker
from tests.support.ports import free_port
from tests.support.waiting import until

RUNNING = RunnerStatus(state=SubscriptionState.RUNNING)
BUSY = RunnerStatus(state=SubscriptionState.RUNNING, in_flight=1)
AWAY = RunnerStatus(state=SubscriptionState.BACKING_OFF)


class Clock:
    """A clock that is set by hand."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(params=["activemq", "activemq6"])
def telling(request: pytest.FixtureRequest) -> TestBroker:
    """The brokers that can tell."""
    broker: TestBroker = request.getfixturevalue(request.param)
    return broker


def told(broker: TestBroker, destination: str) -> Emptiness:
    return ask(broker.broker_spec(), destination, dialect_for("activemq", ""))


def test_activemq_knows_what_another_consumer_holds(telling: TestBroker, destination: str) -> None:
    assert told(telling, destination) is Emptiness.EMPTY
    other = Client(telling.endpoint(), telling.login())
    other.send(destination, b"1")
    assert told(telling, destination) is Emptiness.NOT_EMPTY
    held = other.subscribe(destination).wait(1)
    assert told(telling, destination) is Emptiness.NOT_EMPTY
    other.ack(*held)
    until(lambda: told(telling, destination) is Emptiness.EMPTY, what="nobody holds it any more")
    other.disconnect()


@pytest.mark.long
def test_asking_takes_nothing_and_marks_nothing(telling: TestBroker, destination: str) -> None:
    client = Client(telling.endpoint(), telling.login())
    client.send(destination, b"1", b"2")
    for _ in range(3):
        told(telling, destination)
    messages = client.subscribe(destination).wait(2)
    assert [message.body for message in messages] == [b"1", b"2"]
    assert not [message for message in messages if "redelivered" in message.headers]
    client.ack(*messages)
    client.disconnect()


def test_brokers_that_can_not_tell_are_not_asked(devbroker: TestBroker) -> None:
    devbroker.stop()
    for kind in ("rabbitmq", "artemis", "generic"):
        assert ask(devbroker.broker_spec(), "/queue/a", dialect_for(kind, "")) is Emptiness.UNKNOWN


def test_a_topic_has_nothing_to_show(devbroker: TestBroker) -> None:
    assert ask(devbroker.broker_spec(), "/topic/a", dialect_for("activemq", "")) is Emptiness.UNKNOWN


def test_a_broker_that_is_away_tells_nothing(devbroker: TestBroker) -> None:
    nowhere = devbroker.broker_spec(endpoints=(devbroker.endpoint().__class__(host="127.0.0.1", port=free_port()),))
    assert ask(nowhere, "/queue/a", dialect_for("activemq", "")) is Emptiness.UNKNOWN


def test_silence_begins_when_nothing_is_in_hand() -> None:
    clock = Clock()
    silence = Silence(clock)
    clock.now += 5
    assert silence.lasted_s(BUSY, 0) == 0
    clock.now += 2
    assert silence.lasted_s(RUNNING, 0) == 2


@pytest.mark.parametrize("status", [BUSY, AWAY])
def test_work_and_a_broker_that_is_away_are_no_silence(status: RunnerStatus) -> None:
    clock = Clock()
    silence = Silence(clock)
    clock.now += 5
    assert silence.lasted_s(status, 0) == 0


def test_messages_that_came_and_went_between_two_looks_break_it() -> None:
    clock = Clock()
    silence = Silence(clock)
    clock.now += 5
    assert silence.lasted_s(RUNNING, 3) == 0


def test_another_session_breaks_it() -> None:
    clock = Clock()
    silence = Silence(clock)
    clock.now += 5
    silence.break_off()
    assert silence.lasted_s(RUNNING, 0) == 0

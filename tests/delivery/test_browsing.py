"""A look into a queue, where the broker shows copies: nothing is taken out, nothing is marked."""

from __future__ import annotations

import threading

from stompconsole.delivery.browsing import browse
from stompconsole.transport.session import Endpoint
from tests.delivery.running import held_on, running, send, take_all
from tests.support.brokers import TestBroker
from tests.support.ports import free_port
from tests.topics.kinds import ACTIVEMQ, on

NOT_BROWSED = ("devbroker", "rabbitmq", "artemis", "artemis_prefixed")


@on(*ACTIVEMQ)
def test_the_first_messages_are_shown_and_stay(any_broker: TestBroker, destination: str) -> None:
    broker = any_broker.broker_spec()
    send(broker, destination, [1, 2, 3, 4], color="red")
    seen = browse(broker, destination, 3)
    assert [each.body for each in seen.messages] == [b"1", b"2", b"3"]
    assert (seen.more, seen.reason) == (True, "")
    assert {each.headers["color"] for each in seen.messages} == {"red"}
    assert browse(broker, destination, 4).more is False
    with running(broker, destination) as run:
        run.seen.wait(4)
    assert not any("redelivered" in payload.headers for payload in run.seen.payloads)


@on(*ACTIVEMQ)
def test_what_a_consumer_holds_is_shown_as_well_and_an_empty_queue_is_empty(
    any_broker: TestBroker, destination: str
) -> None:
    broker = any_broker.broker_spec()
    assert browse(broker, destination, 3).messages == []
    release, begun = threading.Event(), threading.Event()
    with running(broker, destination, held_on(release, begun, 1)) as run:
        run.wait_running()
        send(broker, destination, [1])
        try:
            assert begun.wait(15)
            assert [each.body for each in browse(broker, destination, 3).messages] == [b"1"]
        finally:
            release.set()


@on(*NOT_BROWSED)
def test_elsewhere_nothing_is_taken_and_the_reason_is_said(any_broker: TestBroker, destination: str) -> None:
    broker = any_broker.broker_spec()
    send(broker, destination, [1, 2])
    seen = browse(broker, destination, 3)
    assert seen.messages == ()
    assert "taking them" in seen.reason or "takes messages out" in seen.reason
    assert take_all(broker, destination, 2) == [1, 2]


def test_a_broker_that_is_away_is_the_reason(devbroker: TestBroker) -> None:
    nowhere = devbroker.broker_spec(endpoints=(Endpoint(host="127.0.0.1", port=free_port()),))
    assert "refused" in browse(nowhere, "/queue/a", 3).reason

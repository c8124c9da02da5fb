"""Dead letters from the broker's queue back to where each came from."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from stompconsole.brokers import Wanted, dialect_for
from stompconsole.delivery import envelope
from stompconsole.delivery import moving as moving_module
from stompconsole.delivery import returning as returning_module
from stompconsole.delivery.connecting import open_session
from stompconsole.delivery.payload import Payload
from stompconsole.delivery.returning import Errand, Going, Returning
from stompconsole.delivery.senders import Senders
from stompconsole.delivery.specs import BrokerSpec
from stompconsole.devbroker.refusals import AfterError
from stompconsole.transport.session import Endpoint
from tests.delivery.running import running, send, take_all
from tests.support.brokers import TestBroker
from tests.support.devbroker import RunningDevBroker, running_devbroker
from tests.support.waiting import until

OURS = {
    envelope.DEAD_LETTER_ID: "d-1",
    envelope.FAILURE_ID: "f-1",
    envelope.ERROR_TYPE: "KeyError",
    envelope.CONSUMER: "orders",
}


def queue_like(destination: str) -> str:
    return f"{destination}.{uuid.uuid4().hex[:6]}"


def died(broker: BrokerSpec, dlq: str, origin: str, bodies: list[Any], **headers: str) -> None:
    """Dead letters of ours in a dead-letter queue."""
    send(broker, dlq, bodies, **{**OURS, envelope.ORIGIN: origin, **headers})


def payloads_of(broker: BrokerSpec, destination: str, count: int) -> list[Payload]:
    """Take messages out of a queue, headers and all."""
    with running(broker, destination) as run:
        run.seen.wait(count)
        run.wait_settled()
    return run.seen.payloads


def emptied(broker: BrokerSpec, destination: str) -> list[Any]:
    """What is in a queue before a message that is sent there now."""
    send(broker, destination, ["last"])
    return take_all(broker, destination, 1)[:-1]


def at(broker: RunningDevBroker, **fields: Any) -> BrokerSpec:
    endpoint = Endpoint(host=broker.host, port=broker.port)
    return BrokerSpec(name="tested", endpoints=(endpoint,), **{"receipt_timeout_s": 2.0, **fields})


def sent_back(
    broker: BrokerSpec, dlq: str, until_: Callable[[Going], object] = lambda going: going.over, **fields: Any
) -> Going:
    """Send back what is in a dead-letter queue, until something holds; how far it came."""
    senders = Senders()
    returning = Returning(Errand(broker=broker, source=dlq, **fields), senders.of(broker))
    returning.start()
    last: list[Going] = []
    try:
        until(lambda: last.append(returning.look()) or until_(last[-1]), 30, "it is over")  # type: ignore[func-returns-value]
    finally:
        returning.stop()
        senders.close(2.0)
    return last[-1]


@pytest.mark.long
def test_each_goes_back_to_where_it_came_from_without_the_headers_of_its_failure(
    any_broker: TestBroker, destination: str
) -> None:
    broker, dlq, other = any_broker.broker_spec(), queue_like(destination), queue_like(destination)
    died(broker, dlq, destination, [1, 2], color="red")
    died(broker, dlq, other, [3])
    going = sent_back(broker, dlq)
    assert (going.moved, going.skipped, going.failed, going.failure) == (3, 0, 0, False)
    assert going.over == "Nothing more came."
    back = payloads_of(broker, destination, 2)
    assert [payload.body for payload in back] == [1, 2]
    assert {payload.headers["color"] for payload in back} == {"red"}
    assert not any(name.startswith(envelope.PREFIX) for payload in back for name in payload.headers)
    assert take_all(broker, other, 1) == [3]
    assert emptied(broker, dlq) == []


@pytest.mark.long
def test_what_has_no_known_origin_stays_and_the_others_are_not_held_up(
    any_broker: TestBroker, destination: str
) -> None:
    broker, dlq = any_broker.broker_spec(), queue_like(destination)
    send(broker, dlq, ["lost"])
    died(broker, dlq, destination, [1])
    going = sent_back(broker, dlq)
    assert (going.moved, going.skipped) == (1, 1)
    assert "its origin is not known" in going.why
    assert take_all(broker, dlq, 1) == ["lost"]


@pytest.mark.long
def test_what_has_no_known_origin_goes_where_the_operator_says_and_the_others_back(
    any_broker: TestBroker, destination: str
) -> None:
    broker, dlq, named = any_broker.broker_spec(), queue_like(destination), queue_like(destination)
    send(broker, dlq, ["lost"])
    died(broker, dlq, destination, [1])
    going = sent_back(broker, dlq, unknown_to=named)
    assert (going.moved, going.skipped) == (2, 0)
    assert take_all(broker, named, 1) == ["lost"]
    assert take_all(broker, destination, 1) == [1]


def test_never_one_more_than_asked_for(any_broker: TestBroker, destination: str) -> None:
    broker, dlq = any_broker.broker_spec(), queue_like(destination)
    died(broker, dlq, destination, list(range(20)))
    going = sent_back(broker, dlq, limit=7)
    assert (going.moved, going.over) == (7, "That is as many as were asked for.")
    assert len(take_all(broker, destination, 7)) == 7
    assert len(take_all(broker, dlq, 13)) == 13


class TestInTrouble:
    @pytest.fixture(autouse=True)
    def _short(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(moving_module, "FIRST_PAUSE_S", 0.05)
        monkeypatch.setattr(returning_module, "IDLE_S", 0.5)

    @pytest.mark.long
    @pytest.mark.parametrize("after", AfterError)
    def test_one_that_its_origin_does_not_take_stays_and_the_others_go_back(self, after: AfterError) -> None:
        with running_devbroker() as broker:
            spec = at(broker, reconnect_pause_s=0.1)
            died(spec, "/queue/DLQ.a", "/queue/full", ["refused"])
            died(spec, "/queue/DLQ.a", "/queue/a", [1, 2])
            broker.faults.refuse_sends("the queue is full", "/queue/full", after)
            going = sent_back(spec, "/queue/DLQ.a")
            assert (going.moved, going.failed, going.failure) == (2, 1, False)
            assert "the queue is full" in going.why
            assert [json.loads(body) for body in broker.bodies("/queue/DLQ.a")] == ["refused"]
            assert [json.loads(body) for body in broker.bodies("/queue/a")] == [1, 2]

    def test_one_that_came_from_the_dead_letter_queue_itself_is_not_sent_round_in_circles(self) -> None:
        with running_devbroker() as broker:
            died(at(broker), "/queue/DLQ.a", "/queue/DLQ.a", [1])
            going = sent_back(at(broker), "/queue/DLQ.a")
            assert (going.moved, going.skipped) == (0, 1)

    def test_more_unknown_ones_than_can_be_held_are_said_to_hide_what_is_behind_them(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(returning_module, "PREFETCH", 5)
        with running_devbroker() as broker:
            send(at(broker), "/queue/DLQ.a", list(range(7)))
            died(at(broker), "/queue/DLQ.a", "/queue/a", ["behind"])
            going = sent_back(at(broker), "/queue/DLQ.a")
            assert (going.moved, going.skipped) == (0, 5)
            assert "what is behind them can't be seen: name a destination" in going.over
            assert broker.depth("/queue/DLQ.a") == 8

    @pytest.mark.long
    def test_a_broker_that_goes_away_and_comes_back_gets_the_rest_of_them_back(self) -> None:
        with running_devbroker() as broker:
            spec = at(broker, reconnect_pause_s=0.2)
            died(spec, "/queue/DLQ.a", "/queue/a", list(range(50)))
            broker.stop()
            restarted: list[bool] = []

            def over(going: Going) -> object:
                if going.trouble and not restarted:
                    restarted.append(True)
                    broker.start()
                return going.over

            going = sent_back(spec, "/queue/DLQ.a", over)
            assert going.moved == 50
            assert broker.depth("/queue/a") == 50

    def test_a_login_that_is_refused_ends_it_with_the_reason(self) -> None:
        with running_devbroker() as broker:
            spec = at(broker, reconnect_pause_s=0.05)
            broker.faults.refuse_connects("Access refused for user 'app'")
            going = sent_back(spec, "/queue/DLQ.a")
            assert going.failure
            assert "Access refused" in going.over


def test_a_durable_subscriber_s_dead_letter_goes_to_it_alone(rabbitmq: TestBroker, destination: str) -> None:
    topic = destination.replace("/queue/", "/topic/")
    wanted = Wanted(destination=topic, prefetch=1, subscriber="mine")
    broker, dlq = rabbitmq.broker_spec(), queue_like(destination)
    session = open_session(broker)
    dialect = dialect_for("rabbitmq", "")
    frame = dialect.subscribe(wanted)
    session.subscribe("s", frame.destination, "client-individual", frame.headers, lambda _: None).result(10)
    session.disconnect(2)
    died(broker, dlq, topic, ["mine"])
    other = replace(wanted, subscriber="other")
    going = sent_back(broker, dlq, subscriptions={"orders": wanted, "other": other})
    assert going.moved == 1
    own = dialect.own_address(wanted).replace("/queue/", "/amq/queue/")
    assert take_all(broker, own, 1) == ["mine"]

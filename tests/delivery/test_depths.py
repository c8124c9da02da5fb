"""How much waits, asked of real brokers."""

from __future__ import annotations

import threading
import uuid
from dataclasses import replace

from stompconsole.brokers import Wanted
from stompconsole.brokers.depths import Depth, Management
from stompconsole.delivery import depths
from stompconsole.delivery.depths import Question
from stompconsole.delivery.specs import BrokerSpec
from stompconsole.transport.session import Endpoint
from tests.delivery.running import held_on, running, send
from tests.support.brokers import TestBroker
from tests.support.ports import free_port
from tests.support.waiting import until

TELLS_OLDEST = ("devbroker", "activemq", "activemq6", "artemis", "artemis_prefixed")


def question(broker: TestBroker, *destinations: str, spec: BrokerSpec | None = None) -> Question:
    management = Management(url=broker.management, user=broker.user, password=broker.password, vhost=broker.vhost)
    return Question(
        broker=spec or broker.broker_spec(),
        management=management if broker.management else None,
        server="",
        wanted=tuple(Wanted(destination=each, prefetch=1) for each in destinations),
    )


def read(broker: TestBroker, *destinations: str) -> list[Depth]:
    asked = question(broker, *destinations)
    found = depths.read(asked)
    return [found[wanted] for wanted in asked.wanted]


def figures(depth: Depth) -> tuple[object, ...]:
    return depth.waiting, depth.in_flight, depth.consumers, depth.oldest_at


def test_every_broker_tells_what_waits_and_an_unknown_queue_is_empty(any_broker: TestBroker, destination: str) -> None:
    other = f"/queue/test.{uuid.uuid4().hex[:12]}"
    send(any_broker.broker_spec(), destination, [1, 2, 3])
    # RabbitMQ's figures come later than its messages, each when it has it.
    until(lambda: figures(read(any_broker, destination)[0])[:3] == (3, 0, 0), 30, "3 wait")
    here, there = read(any_broker, destination, other)
    assert (there.waiting, there.in_flight) == (0, 0)
    assert (here.oldest_at is not None) == (any_broker.name in TELLS_OLDEST)
    assert there.oldest_at is None


def test_what_a_consumer_holds_is_in_flight_and_does_not_wait(any_broker: TestBroker, destination: str) -> None:
    release, begun = threading.Event(), threading.Event()
    with running(any_broker.broker_spec(), destination, held_on(release, begun, 1)) as run:
        try:
            run.wait_running()
            send(any_broker.broker_spec(), destination, [1, 2])
            assert begun.wait(15)
            # RabbitMQ tells each of its figures when it has it.
            until(lambda: figures(read(any_broker, destination)[0]) == (0, 2, 1, None), 30, "both are in flight")
        finally:
            release.set()


def test_a_broker_that_is_away_is_the_reason(any_broker: TestBroker) -> None:
    nowhere = replace(any_broker.broker_spec(), endpoints=(Endpoint(host="127.0.0.1", port=free_port()),))
    found = depths.read(replace(question(any_broker, "/queue/a", spec=nowhere), management=None))
    assert [depth.waiting for depth in found.values()] == [None]
    assert "refused" in next(iter(found.values())).reason


def test_a_topic_has_no_depth_of_its_own(any_broker: TestBroker) -> None:
    assert read(any_broker, "/topic/a")[0].reason == depths.OWN_QUEUES


def test_rabbitmq_without_a_management_url_says_what_it_takes(rabbitmq: TestBroker) -> None:
    found = depths.read(replace(question(rabbitmq, "/queue/a"), management=None))
    assert "management URL" in next(iter(found.values())).reason


def test_a_login_that_may_not_look_is_the_reason(rabbitmq: TestBroker) -> None:
    wrong = Management(url=rabbitmq.management, user="guest", password="wrong")
    found = depths.read(replace(question(rabbitmq, "/queue/a"), management=wrong))
    assert "refuses the login of guest (401)" in next(iter(found.values())).reason


def test_the_management_url_follows_the_host_in_use(rabbitmq: TestBroker) -> None:
    port = rabbitmq.management.rpartition(":")[2]
    place = Management(url=f"http://{{host}}:{port}", user=rabbitmq.user, password=rabbitmq.password)
    found = depths.read(replace(question(rabbitmq, "/queue/none.such"), management=place))
    assert next(iter(found.values())).waiting == 0

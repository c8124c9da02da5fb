"""Exclusive subscriptions: one gets everything, another takes over. On RabbitMQ it is the queue that is exclusive."""

from __future__ import annotations

from stompconsole.delivery.specs import SubscriptionState
from tests.delivery.running import running, send
from tests.support.brokers import TestBroker
from tests.support.management import Management
from tests.support.waiting import until
from tests.topics.kinds import ACTIVEMQ, on


@on(*ACTIVEMQ)
def test_on_activemq_one_gets_all_and_another_takes_over(any_broker: TestBroker, destination: str) -> None:
    broker = any_broker.broker_spec()
    with running(broker, destination, exclusive=True) as first:
        first.wait_running()
        with running(broker, destination, exclusive=True) as second:
            second.wait_running()
            send(broker, destination, list(range(20)))
            first.seen.wait(20)
            first.end()
            send(broker, destination, ["for the second"])
            second.seen.wait(1)
    assert first.seen.bodies == list(range(20))
    assert second.seen.bodies == ["for the second"]


def test_on_rabbitmq_a_second_connection_is_refused_with_the_reason_until_the_first_ends(
    rabbitmq: TestBroker, management: Management, destination: str
) -> None:
    broker = rabbitmq.broker_spec()
    with running(broker, destination, exclusive=True) as first:
        first.wait_running()
        queue = management.queue(destination.removeprefix("/queue/"))
        assert queue is not None
        assert queue["exclusive"] is True
        with running(broker, destination, exclusive=True) as second:
            until(lambda: "RESOURCE_LOCKED" in second.runner.status.reason, 20, "the broker's words are told")
            assert second.runner.status.state is SubscriptionState.BACKING_OFF
            assert "another connection has this exclusive queue" in second.runner.status.reason
            first.end()
            second.wait_running()


def test_on_rabbitmq_a_queue_that_is_not_exclusive_is_left_as_it_is_and_that_is_said(
    rabbitmq: TestBroker, management: Management, destination: str
) -> None:
    broker = rabbitmq.broker_spec()
    send(broker, destination, ["waiting"])
    with running(broker, destination, exclusive=True) as run:
        until(lambda: "RESOURCE_LOCKED" in run.runner.status.reason, 20, "the broker's words are told")
        assert "the queue exists and is not exclusive: delete it, or take exclusive out" in run.runner.status.reason
    with running(broker, destination) as shared:
        shared.seen.wait(1)


def test_on_rabbitmq_whoever_finds_the_queue_taken_is_told_so(rabbitmq: TestBroker, destination: str) -> None:
    broker = rabbitmq.broker_spec()
    with running(broker, destination, exclusive=True) as first:
        first.wait_running()
        with running(broker, destination) as second:
            until(
                lambda: "Another connection has this queue for itself" in second.runner.status.reason, 20, "the reason"
            )

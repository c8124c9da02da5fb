"""Virtual topics: ``/queue/Consumer.<name>.VirtualTopic.x`` is a queue with a copy of what is sent to the topic."""

from __future__ import annotations

import pytest

from tests.delivery.running import Running, running, send, take_all
from tests.support.brokers import TestBroker
from tests.support.management import Management
from tests.support.waiting import until
from tests.topics.kinds import ACTIVEMQ, DURABLE, on


@pytest.fixture
def virtual(topic: str) -> str:
    """The name of a virtual topic that nobody else uses."""
    return f"VirtualTopic.{topic.removeprefix('/topic/')}"


def remark(run: Running) -> str:
    return until(lambda: run.runner.status.reason, 10, "a remark")


@on(*DURABLE)
def test_each_consumer_s_queue_gets_a_copy_that_waits_for_it(any_broker: TestBroker, virtual: str) -> None:
    broker = any_broker.broker_spec()
    queues = [f"/queue/Consumer.{name}.{virtual}" for name in ("A", "B")]
    for queue in queues:
        with running(broker, queue) as run:
            run.wait_running()
    send(broker, f"/topic/{virtual}", list(range(5)))
    for queue in queues:
        assert take_all(broker, queue, 5) == list(range(5))


@on(*DURABLE)
def test_the_slots_of_one_consumer_share_its_copy(any_broker: TestBroker, virtual: str) -> None:
    broker, queue = any_broker.broker_spec(), f"/queue/Consumer.A.{virtual}"
    with running(broker, queue, prefetch=1) as one, running(broker, queue, prefetch=1) as two:
        one.wait_running()
        two.wait_running()
        send(broker, f"/topic/{virtual}", list(range(40)))
        until(lambda: len(one.seen.bodies) + len(two.seen.bodies) >= 40, 20, "all are handled")
    assert one.seen.bodies
    assert two.seen.bodies
    assert sorted(one.seen.bodies + two.seen.bodies) == list(range(40))


@on("rabbitmq", *ACTIVEMQ)
def test_it_works_without_the_prefix_as_django_stomp_s_names_do(any_broker: TestBroker, virtual: str) -> None:
    broker, queue = any_broker.broker_spec(), f"Consumer.A.{virtual}"
    with running(broker, queue) as run:
        run.wait_running()
        send(broker, f"/topic/{virtual}", ["copied"])
        send(broker, queue, ["sent to the queue itself"])
        run.seen.wait(2)
    assert sorted(run.seen.bodies) == ["copied", "sent to the queue itself"]


@on(*DURABLE)
def test_its_dead_letter_queue_is_no_such_queue(any_broker: TestBroker, virtual: str) -> None:
    broker, queue = any_broker.broker_spec(), f"/queue/DLQ.Consumer.A.{virtual}"
    with running(broker, queue) as run:
        run.wait_running()
        send(broker, f"/topic/{virtual}", ["no copy of it"])
        send(broker, queue, ["a dead letter"])
        run.seen.wait(1)
    assert run.seen.bodies == ["a dead letter"]


@on(*ACTIVEMQ)
def test_on_activemq_a_name_of_two_words_gets_nothing(any_broker: TestBroker, virtual: str) -> None:
    # What the form says of it: ActiveMQ's own pattern has one word there.
    broker, queue = any_broker.broker_spec(), f"/queue/Consumer.A.b.{virtual}"
    with running(broker, queue) as run:
        run.wait_running()
        send(broker, f"/topic/{virtual}", ["no copy of it"])
        send(broker, queue, ["sent to the queue itself"])
        run.seen.wait(1)
    assert run.seen.bodies == ["sent to the queue itself"]


class TestRabbitMQ:
    """The same effect by a durable queue that is bound to the topic, also where others have declared it."""

    @pytest.mark.parametrize("name", ["A", "MYDLQ.a", "a.b"])
    def test_the_queue_is_bound_to_the_topic_whatever_the_consumer_is_called(
        self, rabbitmq: TestBroker, management: Management, virtual: str, name: str
    ) -> None:
        queue = f"Consumer.{name}.{virtual}"
        with running(rabbitmq.broker_spec(), f"/queue/{queue}") as run:
            run.wait_running()
            assert management.topics_of(queue) == [virtual]
            send(rabbitmq.broker_spec(), f"/topic/{virtual}", ["copied"])
            run.seen.wait(1)

    @pytest.mark.parametrize("prefix", ["/queue/", ""])
    @pytest.mark.parametrize("bound", [True, False])
    def test_one_that_django_stomp_declared_is_used_and_bound_if_it_was_not(
        self, rabbitmq: TestBroker, management: Management, virtual: str, prefix: str, bound: bool
    ) -> None:
        queue = f"Consumer.MYDLQ.a.{virtual}"
        dead = {"x_dead_letter_exchange": "", "x_dead_letter_routing_key": f"DLQ.{queue}"}
        management.declare(queue, **dead)
        if bound:
            management.bind(queue, f"/topic/{virtual}")
        with running(rabbitmq.broker_spec(), f"{prefix}{queue}") as run:
            run.wait_running()
            assert "declared with a dead-letter queue of RabbitMQ's own: used as it is" in remark(run)
            send(rabbitmq.broker_spec(), f"/topic/{virtual}", ["copied"])
            run.seen.wait(1)
        assert management.topics_of(queue) == [virtual]

    @pytest.mark.parametrize("prefix", ["/queue/", ""])
    def test_one_declared_in_any_other_way_is_used_with_the_bindings_it_has(
        self, rabbitmq: TestBroker, management: Management, virtual: str, prefix: str
    ) -> None:
        queue = f"Consumer.A.{virtual}"
        management.declare(queue, x_queue_type="quorum")
        management.bind(queue, f"/topic/{virtual}")
        with running(rabbitmq.broker_spec(), f"{prefix}{queue}") as run:
            run.wait_running()
            assert f"used as /amq/queue/{queue}, which gets what is sent to /topic/{virtual} only if" in remark(run)
            send(rabbitmq.broker_spec(), f"/topic/{virtual}", ["copied"])
            run.seen.wait(1)

    def test_one_that_is_deleted_is_declared_and_bound_anew(
        self, rabbitmq: TestBroker, management: Management, virtual: str
    ) -> None:
        queue = f"Consumer.A.{virtual}"
        management.declare(queue, x_queue_type="quorum")
        with running(rabbitmq.broker_spec(), f"/queue/{queue}") as run:
            run.wait_running()
            assert management.topics_of(queue) == []
            management.delete(queue)
            until(lambda: management.queue(queue) and management.topics_of(queue), 20, "the queue is there again")
            run.wait_running()
            send(rabbitmq.broker_spec(), f"/topic/{virtual}", ["copied"])
            run.seen.wait(1)
            assert run.runner.status.reason == ""

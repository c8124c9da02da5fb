"""A topic is pub/sub on every broker: each subscription gets what is sent while it is there."""

from __future__ import annotations

from tests.delivery.running import running, send
from tests.support.brokers import TestBroker
from tests.support.management import Management
from tests.support.waiting import until


def test_two_consumers_of_a_topic_get_every_message_each(any_broker: TestBroker, topic: str) -> None:
    broker = any_broker.broker_spec()
    with running(broker, topic, name="one") as one, running(broker, topic, name="two") as two:
        one.wait_running()
        two.wait_running()
        send(broker, topic, list(range(20)))
        one.seen.wait(20)
        two.seen.wait(20)
    assert one.seen.bodies == two.seen.bodies == list(range(20))


def test_what_is_sent_while_nobody_listens_is_gone(any_broker: TestBroker, topic: str) -> None:
    broker = any_broker.broker_spec()
    with running(broker, topic) as first:
        first.wait_running()
    send(broker, topic, ["missed"])
    with running(broker, topic) as second:
        second.wait_running()
        send(broker, topic, ["heard"])
        second.seen.wait(1)
    assert second.seen.bodies == ["heard"]


def test_w13_on_rabbitmq_a_topic_is_no_queue_that_its_subscribers_share(
    rabbitmq: TestBroker, management: Management, topic: str
) -> None:
    broker, name = rabbitmq.broker_spec(), topic.removeprefix("/topic/")
    queue = f"/queue/{name}"
    with running(broker, topic) as one, running(broker, topic) as two, running(broker, queue) as other:
        for run in (one, two, other):
            run.wait_running()
        send(broker, topic, ["to all"])
        send(broker, queue, ["to the queue of that name"])
        for run in (one, two, other):
            run.seen.wait(1)
        assert len(management.queues_of(topic)) == 2
        assert name not in management.queues_of(topic)
    assert one.seen.bodies == two.seen.bodies == ["to all"]
    assert other.seen.bodies == ["to the queue of that name"]
    until(lambda: management.queues_of(topic) == [], 10, "its queues go with the subscriptions")

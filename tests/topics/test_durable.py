"""Durable subscriptions: what is sent to a topic while nobody listens waits, for each subscriber by itself."""

from __future__ import annotations

from typing import Any

import pytest

from stompconsole.brokers import Wanted, dialect_for
from stompconsole.delivery.connecting import open_session
from stompconsole.delivery.specs import BrokerSpec, SubscriptionState
from tests.delivery.running import Running, encoded, running, send
from tests.support.brokers import TestBroker
from tests.support.management import Management
from tests.support.proxy import Proxy
from tests.support.rawstomp import connected
from tests.support.waiting import until
from tests.topics.kinds import ACTIVEMQ, DURABLE, on


def listened(broker: BrokerSpec, topic: str, *client_ids: str) -> None:
    """Subscribers of a topic that were there once."""
    for client_id in client_ids:
        with running(broker, topic, durable=True, client_id=client_id) as run:
            run.wait_running()


def send_non_persistent(broker: BrokerSpec, topic: str, body: object) -> None:
    session = open_session(broker)
    try:
        routing = dialect_for("auto", session.server).send_headers(topic)
        del routing["persistent"]
        session.request("SEND", {"destination": topic, **routing}, encoded(body)).result(10)
    finally:
        session.disconnect(5.0)


@on(*DURABLE)
def test_what_is_sent_while_nobody_listens_is_given_to_each_subscriber_later(
    any_broker: TestBroker, topic: str, client_id: str
) -> None:
    broker = any_broker.broker_spec()
    listened(broker, topic, client_id, f"{client_id}-2")
    send(broker, topic, ["persistent"])
    send_non_persistent(broker, topic, "not persistent")
    for name in (client_id, f"{client_id}-2"):
        with running(broker, topic, durable=True, client_id=name) as run:
            run.seen.wait(2)
            run.wait_settled()
            assert sorted(run.seen.bodies) == ["not persistent", "persistent"]


@on(*DURABLE)
def test_what_was_handled_is_not_given_again_to_the_next_worker(
    any_broker: TestBroker, topic: str, client_id: str
) -> None:
    broker = any_broker.broker_spec()
    listened(broker, topic, client_id)
    send(broker, topic, list(range(40)))
    with running(broker, topic, durable=True, client_id=client_id, threads=4, prefetch=20) as first:
        first.seen.wait(10)
    with running(broker, topic, durable=True, client_id=client_id) as second:
        until(lambda: len(first.seen.bodies) + len(second.seen.bodies) >= 40, 20, "all are handled")
        send(broker, topic, ["marker"])
        until(lambda: "marker" in second.seen.bodies, 20, "nothing comes before what is sent last")
    assert sorted(first.seen.bodies + second.seen.bodies[:-1]) == list(range(40))


@on(*DURABLE)
def test_it_outlives_a_restart_of_the_broker(any_broker: TestBroker, topic: str, client_id: str) -> None:
    broker = any_broker.broker_spec()
    listened(broker, topic, client_id)
    send(broker, topic, list(range(5)))
    any_broker.restart()
    with running(broker, topic, durable=True, client_id=client_id) as run:
        run.seen.wait(5)
        run.wait_settled()
    assert run.seen.bodies == list(range(5))


@on(*DURABLE)
def test_without_a_client_id_it_has_the_consumer_s_name(any_broker: TestBroker, topic: str, client_id: str) -> None:
    broker = any_broker.broker_spec()
    with running(broker, topic, durable=True, name=client_id) as run:
        run.wait_running()
    send(broker, topic, ["kept"])
    with running(broker, topic, durable=True, client_id=client_id, name="renamed") as run:
        run.seen.wait(1)


@on(*ACTIVEMQ)
def test_one_that_django_stomp_left_behind_is_found_again(any_broker: TestBroker, topic: str, client_id: str) -> None:
    # As it wrote them: STOMP 1.1, the same headers on both frames, one of them misspelt.
    listener = f"{client_id}-listener"
    theirs = {
        "client-id": listener,
        "activemq.subscriptionName": listener,
        "activemq.subcriptionName": listener,
        "activemq.prefetchSize": "1",
        "prefetch-count": "1",
        "exclusive": "False",
        "x-dead-letter-exchange": "",
        "x-dead-letter-routing-key": f"DLQ.{topic.removeprefix('/topic/')}",
    }
    login = {"login": any_broker.user, "passcode": any_broker.password}
    frame = {"destination": topic, "id": listener, "ack": "client", "durable": "true", "auto-delete": "false"}
    with connected(any_broker.host, any_broker.port, "1.1", {**login, **theirs}) as old:
        old.done("SUBSCRIBE", {**theirs, **frame, "x-queue-name": topic.removeprefix("/topic/")})
        old.done("DISCONNECT")
    broker = any_broker.broker_spec()
    send(broker, topic, ["sent between the two"])
    with running(broker, topic, durable=True, client_id=client_id) as run:
        run.seen.wait(1)
    assert run.seen.bodies == ["sent between the two"]


@on(*ACTIVEMQ)
def test_a_take_over_waits_until_the_broker_has_noticed_that_the_other_is_gone(
    any_broker: TestBroker, topic: str, client_id: str, proxy: Proxy
) -> None:
    through = any_broker.broker_spec(endpoints=(proxy.endpoint,), heartbeat_send_s=0.0, heartbeat_receive_s=0.0)
    direct = any_broker.broker_spec()
    with running(through, topic, durable=True, client_id=client_id) as old:
        old.wait_running()
        proxy.freeze()
        old.runner.abort("killed")
        with running(direct, topic, durable=True, client_id=client_id) as new:
            until(lambda: "already connected" in new.runner.status.reason, 20, "the broker's words are told")
            assert new.runner.status.state is SubscriptionState.BACKING_OFF
            proxy.cut()
            new.wait_running()
            send(direct, topic, ["for the new one"])
            new.seen.wait(1)


@on("rabbitmq", *ACTIVEMQ)
def test_durable_on_a_queue_keeps_no_second_slot_from_connecting(any_broker: TestBroker, destination: str) -> None:
    broker = any_broker.broker_spec()
    options: dict[str, Any] = {"durable": True, "client_id": "the-same"}
    with running(broker, destination, **options) as one, running(broker, destination, **options) as two:
        one.wait_running()
        two.wait_running()


class TestRabbitMQ:
    """A queue of its own for each subscriber, which its slots share."""

    def test_the_slots_of_one_subscriber_share_its_messages(
        self, rabbitmq: TestBroker, topic: str, client_id: str
    ) -> None:
        broker = rabbitmq.broker_spec()
        options: dict[str, Any] = {"durable": True, "client_id": client_id, "prefetch": 1}
        with running(broker, topic, **options) as one, running(broker, topic, **options) as two:
            one.wait_running()
            two.wait_running()
            send(broker, topic, list(range(40)))
            until(lambda: len(one.seen.bodies) + len(two.seen.bodies) >= 40, 20, "all are handled")
        assert one.seen.bodies
        assert two.seen.bodies
        assert sorted(one.seen.bodies + two.seen.bodies) == list(range(40))

    def test_its_queue_is_named_after_subscriber_and_topic_and_stays(
        self, rabbitmq: TestBroker, management: Management, topic: str, client_id: str
    ) -> None:
        broker, name = rabbitmq.broker_spec(), topic.removeprefix("/topic/")
        listened(broker, topic, client_id, f"{client_id}-2")
        assert sorted(management.queues_of(topic)) == [f"{client_id}-2-listener:{name}", f"{client_id}-listener:{name}"]
        queue = management.queue(f"{client_id}-listener:{name}")
        assert queue is not None
        assert (queue["durable"], queue["auto_delete"], queue["exclusive"]) == (True, False, False)

    def test_queues_named_like_the_topic_or_the_subscriber_have_nothing_to_do_with_it(
        self, rabbitmq: TestBroker, topic: str, client_id: str
    ) -> None:
        broker, name = rabbitmq.broker_spec(), topic.removeprefix("/topic/")
        listened(broker, topic, client_id)
        for queue in (name, f"{client_id}-listener", f"{client_id}-listener.{name}"):
            send(broker, f"/queue/{queue}", ["no copy of the topic's"])
        send(broker, topic, ["of the topic"])
        with running(broker, topic, durable=True, client_id=client_id) as run:
            run.seen.wait(1)
        assert run.seen.bodies == ["of the topic"]

    def test_a_slash_in_the_topic_is_one_in_the_queue_s_name(
        self, rabbitmq: TestBroker, management: Management, topic: str, client_id: str
    ) -> None:
        broker, slashed = rabbitmq.broker_spec(), f"{topic}%2Feur"
        with running(broker, slashed, durable=True, client_id=client_id) as run:
            run.wait_running()
            wanted = Wanted(destination=slashed, prefetch=1, subscriber=run.consumer.subscriber)
            own = dialect_for("rabbitmq", "").own_address(wanted)
            send(broker, slashed, ["by the topic"])
            send(broker, own, ["by its own queue"])
            run.seen.wait(2)
        assert management.queue(f"{client_id}-listener:{topic.removeprefix('/topic/')}/eur")

    @pytest.mark.parametrize("bound", [True, False])
    def test_a_queue_that_someone_has_declared_otherwise_is_used_as_it_is(
        self, rabbitmq: TestBroker, management: Management, topic: str, client_id: str, bound: bool
    ) -> None:
        queue = f"{client_id}-listener:{topic.removeprefix('/topic/')}"
        management.declare(queue, x_queue_type="quorum")
        if bound:
            management.bind(queue, topic)
        broker = rabbitmq.broker_spec()
        send(broker, topic if bound else f"/amq/queue/{queue}", ["kept"])
        with running(broker, topic, durable=True, client_id=client_id) as run:
            run.seen.wait(1)
            # Its message may come before the remark: until then the reason is that of the SUBSCRIBE that was refused.
            run.wait_running()
            assert "was declared by someone else" in remark(run)
            assert f"gets what is sent to {topic} only if someone has bound it" in remark(run)


def remark(run: Running) -> str:
    return until(lambda: run.runner.status.reason, 10, "a remark")

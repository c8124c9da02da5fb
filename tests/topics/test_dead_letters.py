"""Dead letters of a topic: several consumers share one queue of them, and each row gets its own back."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import pytest

from stompconsole.deadletters import selection
from stompconsole.deadletters.outcomes import Progress, progress, record_processed
from stompconsole.delivery.payload import Handler, Payload
from stompconsole.delivery.specs import SubscriptionState
from stompconsole.models import Broker, Consumer, DeadLetter, Replay
from tests.deadletters.capturing import capturing, started
from tests.deadletters.engines import running_engine
from tests.deadletters.making import make_broker, make_consumer
from tests.delivery.running import Running, Seen, running, send
from tests.support.brokers import TestBroker
from tests.support.management import Management
from tests.support.waiting import until
from tests.topics.kinds import ACTIVEMQ, DURABLE, on

pytestmark = pytest.mark.django_db(transaction=True)


def named(broker: Broker, topic: str, **fields: Any) -> Consumer:
    """A consumer's row whose name nobody else has on the broker."""
    return make_consumer(broker, destination=topic, **fields)


def run_of(consumer: Consumer, handler: Callable[[Seen], Handler] | None = None) -> Any:
    """The consumer at work."""
    spec = consumer.spec()
    return running(spec.broker, spec.destination, handler, name=spec.name, durable=spec.durable)


def failing(times: int) -> Callable[[Seen], Handler]:
    """A handler that fails the first time, or times, it is called."""
    left = [KeyError("sku")] * times

    def make(seen: Seen) -> Handler:
        def handle(payload: Payload) -> None:
            if left:
                raise left.pop()
            seen.keep(payload)

        return handle

    return make


def replay_what_died() -> Replay:
    until(DeadLetter.objects.exists, 20, "a dead letter")
    planned = selection.replay_selected([DeadLetter.objects.get().pk], actor=None)
    assert planned.replay is not None
    return planned.replay


def wait_progress(of: Replay, expected: Progress) -> None:
    until(lambda: progress(of) == expected, 20, f"{expected}, now {progress(of)}")


@on(*DURABLE)
@pytest.mark.parametrize("captured_by", [0, 1])
def test_whoever_captures_a_dead_letter_it_lands_at_the_consumer_that_failed(
    any_broker: TestBroker, topic: str, captured_by: int
) -> None:
    broker = make_broker(any_broker)
    rows = [named(broker, topic), named(broker, topic)]
    assert rows[0].dead_letters_go_to == rows[1].dead_letters_go_to == topic.replace("/topic/", "/queue/DLQ.")
    with run_of(rows[0], failing(1)) as one, run_of(rows[1], failing(1)) as two:
        one.wait_running()
        two.wait_running()
        send(rows[0].spec().broker, topic, ["fails in both"])
        with capturing(rows[captured_by]):
            until(lambda: DeadLetter.objects.count() == 2, 20, "both are captured")
    dead = DeadLetter.objects.order_by("consumer_id")
    assert [(each.consumer, each.origin) for each in dead] == [(rows[0], topic), (rows[1], topic)]


@on("rabbitmq", "artemis", "artemis_prefixed")
def test_a_replay_reaches_the_durable_subscriber_it_failed_in_and_no_other(any_broker: TestBroker, topic: str) -> None:
    broker = make_broker(any_broker)
    failed, other = named(broker, topic, durable=True), named(broker, topic, durable=True)
    replayed_once(failed, other, topic)


@on(*DURABLE)
def test_a_replay_reaches_the_virtual_topic_s_consumer_it_failed_in_and_no_other(
    any_broker: TestBroker, topic: str
) -> None:
    broker = make_broker(any_broker)
    virtual = topic.replace("/topic/", "VirtualTopic.")
    failed, other = (named(broker, f"/queue/Consumer.{name}.{virtual}") for name in "AB")
    replayed_once(failed, other, f"/topic/{virtual}")


def replayed_once(failed: Consumer, other: Consumer, topic: str) -> None:
    with run_of(failed, failing(1)) as one, run_of(other) as two, capturing(failed), running_engine():
        one.wait_running()
        two.wait_running()
        send(failed.spec().broker, topic, ["fails in one"], color="red")
        going = replay_what_died()
        one.seen.wait(1)
        # What else the replay may have brought to the other one is there before what is sent after it.
        send(failed.spec().broker, topic, ["after it"])
        one.seen.wait(2)
        two.seen.wait(2)
        record_processed(one.seen.replays)
        wait_progress(going, Progress(total=1, processed=1))
    assert one.seen.payloads[0].headers["color"] == "red"
    assert one.seen.bodies == two.seen.bodies == ["fails in one", "after it"]


class TestWithNoWayToOneSubscriber:
    """Every subscriber gets the replay again: what the others make of it is not the dead letter's outcome."""

    @on("rabbitmq", *ACTIVEMQ)
    def test_the_others_get_it_again_and_report_nothing(self, any_broker: TestBroker, topic: str) -> None:
        failed, other = self.rows(any_broker, topic)
        with run_of(failed, failing(1)) as one, run_of(other) as two, capturing(failed), running_engine():
            going = self.replay_one(one, two, failed)
            two.seen.wait(2)
            one.seen.wait(1)
            until(lambda: one.seen.replays, 10, "its own consumer has reported it")
            assert two.seen.replays == []
            record_processed(one.seen.replays)
            wait_progress(going, Progress(total=1, processed=1))

    @on("rabbitmq", *ACTIVEMQ)
    def test_one_that_fails_in_another_consumer_is_a_new_dead_letter_there(
        self, any_broker: TestBroker, topic: str
    ) -> None:
        failed, other = self.rows(any_broker, topic)

        def second_fails(seen: Seen) -> Handler:
            def handle(payload: Payload) -> None:
                seen.keep(payload)
                if len(seen.bodies) == 2:
                    raise ValueError("again?")

            return handle

        with run_of(failed, failing(1)) as one, run_of(other, second_fails) as two, capturing(other), running_engine():
            going = self.replay_one(one, two, failed)
            one.seen.wait(1)
            until(lambda: one.seen.replays, 10, "its own consumer has reported it")
            record_processed(one.seen.replays)
            until(lambda: DeadLetter.objects.count() == 2, 20, "the other's dead letter")
            wait_progress(going, Progress(total=1, processed=1))
        states = dict(DeadLetter.objects.values_list("consumer__name", "state"))
        assert states == {failed.name: "processed", other.name: "dead"}

    def rows(self, any_broker: TestBroker, topic: str) -> tuple[Consumer, Consumer]:
        broker = make_broker(any_broker)
        durable = any_broker.name != "rabbitmq"
        return named(broker, topic, durable=durable), named(broker, topic, durable=durable)

    def replay_one(self, one: Running, two: Running, failed: Consumer) -> Replay:
        one.wait_running()
        two.wait_running()
        send(failed.spec().broker, failed.destination, ["fails in one"])
        two.seen.wait(1)
        return replay_what_died()


class TestW15:
    """A user that may read a topic, and has no right on any dead-letter queue."""

    @pytest.fixture
    def broker(self, rabbitmq: TestBroker, management: Management) -> Broker:
        name, mine = f"reader-{uuid.uuid4().hex[:8]}", r"^(stomp-subscription-.*|amq\.topic)$"
        management.add_user(name, "secret", configure=mine, write=mine, read=mine)
        row = make_broker(rabbitmq, user=name, reconnect_pause_s=0.5)
        row.password = "secret"
        row.save()
        return row

    def test_w15_a_topic_consumer_that_may_not_read_its_dead_letter_queue_consumes(
        self, rabbitmq: TestBroker, broker: Broker, topic: str
    ) -> None:
        consumer = named(broker, topic)
        with run_of(consumer) as run, started(consumer) as capture:
            run.wait_running()
            until(lambda: "access_refused" in capture.status.reason, 20, "the reason is told")
            assert capture.status.state is SubscriptionState.BACKING_OFF
            send(rabbitmq.broker_spec(), topic, list(range(20)))
            run.seen.wait(20)
            run.wait_settled()
            assert [state for state, _ in run.seen.states] == [SubscriptionState.RUNNING]

    def test_w15_what_fails_in_it_is_kept_and_said_while_the_rest_goes_on(
        self, rabbitmq: TestBroker, broker: Broker, topic: str
    ) -> None:
        with run_of(named(broker, topic), failing(1)) as run:
            run.wait_running()
            send(rabbitmq.broker_spec(), topic, ["fails", "goes on"])
            run.seen.wait(1)
            until(lambda: "dead letters can't be sent to" in run.runner.status.reason, 20, "the reason is told")
            assert "access_refused" in run.runner.status.reason
            assert run.runner.status.in_flight == 1
        assert run.seen.bodies == ["goes on"]

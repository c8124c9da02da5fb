"""Dead letters that a broker made by its own policies: expired, rejected, delivered too often. Each says where it was,
so that a replay finds its way, captured or straight from the broker."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from stompconsole.brokers import Wanted, dialect_for
from stompconsole.deadletters import selection
from stompconsole.deadletters.captured import BY_THE_BROKER
from stompconsole.delivery.connecting import open_session
from stompconsole.delivery.specs import BrokerSpec
from stompconsole.models import Consumer, DeadLetter, DeadLetterState
from stompconsole.transport.frames import Frame
from tests.deadletters.capturing import capturing
from tests.deadletters.engines import running_engine
from tests.deadletters.making import make_broker, make_consumer
from tests.delivery.running import send, take_all
from tests.delivery.test_returning import sent_back
from tests.support.brokers import TestBroker
from tests.support.management import Management
from tests.support.waiting import until
from tests.topics.conftest import management  # noqa: F401 - a fixture
from tests.topics.kinds import ACTIVEMQ, on

pytestmark = pytest.mark.django_db(transaction=True)


def nack_first(broker: BrokerSpec, destination: str) -> None:
    """Refuse the first message of a queue, as a consumer of somebody else's may."""
    session = open_session(broker)
    dialect = dialect_for(broker.kind, session.server)
    frame = dialect.subscribe(Wanted(destination=destination, prefetch=1))
    came: list[Frame] = []
    session.subscribe("s", frame.destination, "client-individual", frame.headers, came.append).result(10)
    until(lambda: came, 15, "a message")
    headers = {"id": came[0].headers[dialect.ack_header], **dialect.nack_headers()}
    session.request("NACK", headers).result(10)
    session.disconnect(2)


def captured_by(consumer: Consumer, dies: Any) -> DeadLetter:
    """The dead letter that capture makes of a message that dies meanwhile."""
    with capturing(consumer):
        dies()
        until(DeadLetter.objects.exists, 45, "it is captured")
    letter = DeadLetter.objects.get()
    assert letter.error_type == BY_THE_BROKER
    return letter


def replayed(letter: DeadLetter) -> None:
    """Replay it, until the broker has it."""
    with running_engine():
        assert selection.replay_selected([letter.pk], actor=None).replay is not None
        until(lambda: DeadLetter.objects.get().state == DeadLetterState.SENT, 20, "it is sent")


class TestRabbitMQ:
    @pytest.fixture
    def queue(self, rabbitmq: TestBroker, management: Management) -> Iterator[str]:  # noqa: F811
        """A queue that dead-letters to ``DLQ.`` and its name, by RabbitMQ's own means."""
        name = f"test.{uuid.uuid4().hex[:12]}"
        management.declare(f"DLQ.{name}")
        management.declare(name, x_dead_letter_exchange="", x_dead_letter_routing_key=f"DLQ.{name}")
        yield name
        management.delete(name)
        management.delete(f"DLQ.{name}")

    def test_an_expired_one_goes_back_to_its_queue(self, rabbitmq: TestBroker, queue: str) -> None:
        consumer = make_consumer(make_broker(rabbitmq), destination=f"/queue/{queue}")
        spec = consumer.spec().broker
        letter = captured_by(consumer, lambda: send(spec, f"/amq/queue/{queue}", [1], expiration="100"))
        assert letter.origin == f"/queue/{queue}"
        assert "x-first-death-reason: expired" in letter.error_message
        replayed(letter)
        # The expiration went with it, or it had died again at once.
        assert take_all(spec, f"/amq/queue/{queue}", 1) == [1]

    def test_a_rejected_one_goes_back_to_its_queue_straight_from_the_broker(
        self, rabbitmq: TestBroker, queue: str
    ) -> None:
        broker = rabbitmq.broker_spec()
        send(broker, f"/amq/queue/{queue}", [1])
        nack_first(broker, f"/amq/queue/{queue}")
        going = sent_back(broker, f"/queue/DLQ.{queue}")
        assert (going.moved, going.skipped) == (1, 0)
        assert take_all(broker, f"/amq/queue/{queue}", 1) == [1]


@on(*ACTIVEMQ)
def test_an_expired_one_of_activemq_goes_back_to_its_queue(any_broker: TestBroker, destination: str) -> None:
    consumer = make_consumer(make_broker(any_broker), destination=destination)
    spec = consumer.spec().broker

    def dies() -> None:
        send(spec, destination, [1], expires=str(int((time.time() + 0.3) * 1000)))
        # What has expired is noticed when somebody asks for it.
        until(lambda: time.time() > sent_at + 0.5, 5, "it has expired")
        with_a_look(spec, destination)

    sent_at = time.time()
    letter = captured_by(consumer, dies)
    assert letter.origin == destination
    assert "Message Expired" in letter.error_message
    replayed(letter)
    assert take_all(spec, destination, 1) == [1]


@on(*ACTIVEMQ)
def test_a_nacked_one_of_activemq_goes_back_to_its_queue_straight_from_the_broker(
    any_broker: TestBroker, destination: str
) -> None:
    broker = any_broker.broker_spec()
    send(broker, destination, [1])
    nack_first(broker, destination)
    going = sent_back(broker, destination.replace("/queue/", "/queue/DLQ."))
    assert (going.moved, going.skipped) == (1, 0)
    assert take_all(broker, destination, 1) == [1]


@on("artemis", "artemis_prefixed")
def test_an_expired_one_of_artemis_goes_back_to_its_queue(any_broker: TestBroker, destination: str) -> None:
    expiry = "ExpiryQueue" if any_broker.name == "artemis" else "/queue/ExpiryQueue"
    consumer = make_consumer(make_broker(any_broker), destination=destination, dead_letter_destination=expiry)
    spec = consumer.spec().broker

    def dies() -> None:
        send(spec, destination, [1], expires=str(int((time.time() + 0.3) * 1000)))

    letter = captured_by(consumer, dies)
    assert letter.origin in {destination, destination.removeprefix("/queue/")}
    assert "_AMQ_ACTUAL_EXPIRY" in letter.error_message
    replayed(letter)
    assert take_all(spec, destination, 1) == [1]


def with_a_look(broker: BrokerSpec, destination: str) -> None:
    """Subscribe and leave."""
    session = open_session(broker)
    frame = dialect_for(broker.kind, session.server).subscribe(Wanted(destination=destination, prefetch=1))
    session.subscribe("s", frame.destination, "client-individual", frame.headers, lambda _: None).result(10)
    session.disconnect(2)

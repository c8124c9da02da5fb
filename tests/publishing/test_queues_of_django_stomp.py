"""Queues on RabbitMQ that django-stomp declared, or will subscribe to: they carry dead-letter arguments, and whoever
declares them otherwise is thrown out."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.db import transaction

from stompconsole import Publisher, publish
from stompconsole.publishing import publish_many
from tests.deadletters.making import make_broker
from tests.django_stomp.scene import Scene, bodies
from tests.support.brokers import TestBroker


@pytest.fixture
def scene(rabbitmq: TestBroker, tmp_path: Path) -> Iterator[Scene]:
    with Scene(rabbitmq, tmp_path) as made:
        yield made


@pytest.fixture
def publisher(rabbitmq: TestBroker) -> Iterator[Publisher]:
    made = Publisher(rabbitmq.broker_spec())
    yield made
    made.close()


def errors(caplog: pytest.LogCaptureFixture) -> list[str]:
    """The ERRORs that brokers answered."""
    return [record.getMessage() for record in caplog.records if record.name.startswith("stompconsole.transport")]


@pytest.mark.parametrize("queue", ["", "DLQ."])
def test_a_publisher_sends_there_without_a_clash(
    scene: Scene, publisher: Publisher, caplog: pytest.LogCaptureFixture, queue: str
) -> None:
    scene.declare(scene.name)
    destination = f"/queue/{queue}{scene.name}"
    with caplog.at_level(logging.INFO), publisher.auto_open_close_connection():
        publisher.send(1, destination)
    with publisher.do_inside_transaction():
        publisher.send(2, destination)
        publisher.send(3, destination)
    assert errors(caplog) == []
    assert bodies(scene.left(destination, 3)) == [1, 2, 3]


def test_a_queue_that_a_publisher_declares_is_what_django_stomp_subscribes_to(
    scene: Scene, publisher: Publisher
) -> None:
    publisher.send(1, scene.queue)
    scene.declare(scene.name)
    assert bodies(scene.left(scene.queue, 1)) == [1]


@pytest.mark.django_db(transaction=True)
def test_finding_out_costs_no_other_message(scene: Scene, rabbitmq: TestBroker) -> None:
    scene.declare(scene.name)
    plain, row = f"/queue/{scene.name}.plain", make_broker(rabbitmq)
    with transaction.atomic():
        for number in range(5):
            publish(plain, number, broker=row.name)
        for number in range(5):
            publish(scene.queue, number, broker=row.name)
            publish(plain, number, broker=row.name)
    assert bodies(scene.left(scene.queue, 5)) == list(range(5))
    assert bodies(scene.left(plain, 10)) == [*range(5), *range(5)]


@pytest.mark.django_db(transaction=True)
def test_publish_reaches_it_all_the_same(scene: Scene, rabbitmq: TestBroker, caplog: pytest.LogCaptureFixture) -> None:
    scene.declare(scene.name)
    row = make_broker(rabbitmq)
    with caplog.at_level(logging.INFO):
        publish_many(scene.queue, [0, 1, 2], broker=row.name)
        publish(scene.queue, 3, broker=row.name)
    assert any("inequivalent arg 'x-dead-letter-exchange'" in error for error in errors(caplog))
    assert bodies(scene.left(scene.queue, 4)) == [0, 1, 2, 3]


@pytest.mark.django_db(transaction=True)
def test_a_message_that_is_passed_on_declares_no_queue_with_the_dead_letters_of_another(
    scene: Scene, rabbitmq: TestBroker, publisher: Publisher
) -> None:
    """RabbitMQ keeps the arguments as headers of the message, and its reader gets them."""
    publisher.send(1, scene.queue)
    (received,) = scene.left(scene.queue, 1)
    assert received.headers["x-dead-letter-routing-key"] == f"DLQ.{scene.name}"
    other = f"/queue/{scene.name}.other"
    publish(other, 1, headers=received.headers, broker=make_broker(rabbitmq).name)
    (passed_on,) = scene.left(other, 1)
    assert "x-dead-letter-routing-key" not in passed_on.headers
    scene.client().subscribe(other)

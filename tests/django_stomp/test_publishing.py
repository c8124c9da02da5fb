"""Publishing: W7, W18 and W19, and what of W20 is about it."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.test import override_settings
from request_id_django_log import local_threading

from stompconsole.errors import BrokerRefused, ReceiptTimeout
from stompconsole.publishing import Publisher, build_publisher, process_senders, publish, publish_many
from tests.django_stomp.scene import Scene, at, bodies
from tests.support.management import Management
from tests.support.proxy import Proxy

pytestmark = pytest.mark.slow


@pytest.fixture
def publisher(scene: Scene) -> Iterator[Publisher]:
    """What ``build_publisher`` makes of the settings."""
    yield from publisher_at(scene)


@pytest.fixture
def rabbit_publisher(rabbit: Scene) -> Iterator[Publisher]:
    """The same for RabbitMQ alone."""
    yield from publisher_at(rabbit)


def publisher_at(scene: Scene) -> Iterator[Publisher]:
    with override_settings(**scene.settings()):
        made = build_publisher("tests")
        yield made
        made.close()


class Oops(Exception):
    """What a caller's own code raises."""


def oops() -> None:
    raise Oops


@pytest.fixture
def without_rights(rabbit: Scene, management: Management) -> Iterator[None]:
    """Settings of a user who may declare and write nothing."""
    management.add_user(rabbit.name, "pw", configure="^$", write="^$", read=".*")
    login = {"STOMP_SERVER_USER": rabbit.name, "STOMP_SERVER_PASSWORD": "pw"}
    with override_settings(**{**rabbit.settings(), **login}):
        yield
        process_senders().close(1.0)


def test_w07_a_message_that_the_broker_refuses_raises(rabbit: Scene, without_rights: None) -> None:
    """There nobody listened for an ERROR: send() returned, and the message was nowhere."""
    publisher = build_publisher()
    with publisher.auto_open_close_connection(), pytest.raises(BrokerRefused, match="access_refused"):
        publisher.send({"n": 1}, rabbit.queue)
    assert rabbit.left(rabbit.queue, 0) == []


@pytest.mark.django_db(transaction=True)
def test_w07_a_message_that_the_broker_refuses_raises_out_of_publish(rabbit: Scene, without_rights: None) -> None:
    """There was no publish()."""
    with pytest.raises(BrokerRefused, match="access_refused"):
        publish(rabbit.queue, {"n": 1})


def test_w07_a_queue_that_exists_with_other_properties_gets_its_message(
    rabbit: Scene, rabbit_publisher: Publisher
) -> None:
    """There PRECONDITION_FAILED went unheard and the message was nowhere."""
    plain = f"/queue/{rabbit.name}.plain"
    rabbit.client().send(plain, b'"first"')
    rabbit_publisher.send("second", plain)
    assert bodies(rabbit.left(plain, 2)) == ["first", "second"]


@pytest.mark.django_db(transaction=True)
def test_w12_publishing_to_a_queue_of_other_properties_disturbs_nobody(rabbit: Scene) -> None:
    """There each publisher had a connection of its own; here threads share one, and RabbitMQ ends it over one such
    queue. Nobody notices, and messages keep their order."""
    names = [f"{rabbit.name}.{number}" for number in range(6)]
    for name in names:
        rabbit.declare(name)
    together = threading.Barrier(len(names))

    def publish_some(name: str) -> None:
        together.wait(10)
        publish_many(f"/queue/{name}", range(20))

    with override_settings(**rabbit.settings()), ThreadPoolExecutor(len(names)) as threads:
        for done in [threads.submit(publish_some, name) for name in names]:
            done.result(30)
        process_senders().close(1.0)
    for name in names:
        assert bodies(rabbit.left(f"/queue/{name}", 20)) == list(range(20))


def test_w18_transactions_inside_each_other_are_one(scene: Scene, publisher: Publisher) -> None:
    """There the end of the inner block made the publisher forget its transaction: what the outer one sent after it
    went out at once, and stayed when the outer one failed."""

    def send_then(do_last: Callable[[], object]) -> None:
        with publisher.do_inside_transaction():
            publisher.send("a", scene.queue)
            with publisher.do_inside_transaction():
                publisher.send("b", scene.queue)
            publisher.send("c", scene.queue)
            do_last()

    with pytest.raises(Oops):
        send_then(oops)
    assert scene.left(scene.queue, 0) == []
    send_then(lambda: scene.left(scene.queue, 0))
    assert bodies(scene.left(scene.queue, 3)) == ["a", "b", "c"]


def test_w18_transactions_of_two_threads_are_two(scene: Scene, publisher: Publisher) -> None:
    """There the transaction was an attribute of the publisher: one thread's block sent in the other's."""

    def fail() -> None:
        with publisher.do_inside_transaction():
            publisher.send("dropped", scene.queue)
            oops()

    with ThreadPoolExecutor(1) as other, publisher.do_inside_transaction():
        publisher.send("first", scene.queue)
        assert isinstance(other.submit(fail).exception(10), Oops)
        publisher.send("second", scene.queue)
    assert bodies(scene.left(scene.queue, 2)) == ["first", "second"]


def test_w18_a_lost_connection_hides_nobodys_exception(scene: Scene) -> None:
    """There the ABORT on the dead socket raised NotConnectedException in the place of what had happened."""
    with Proxy(scene.broker.endpoint()) as proxy, override_settings(**{**scene.settings(), **at(proxy.endpoint)}):
        publisher = build_publisher()

        def lose_the_connection() -> None:
            with publisher.do_inside_transaction():
                publisher.send("a", scene.queue)
                proxy.close()
                oops()

        with pytest.raises(Oops):
            lose_the_connection()
        publisher.close()
    assert scene.left(scene.queue, 0) == []


@pytest.mark.parametrize("left_over", [None, "none"])
def test_w19_a_message_always_has_a_correlation_id(
    scene: Scene, publisher: Publisher, monkeypatch: pytest.MonkeyPatch, left_over: str | None
) -> None:
    """There the id was None once a handler had ended, and the header was left out: a strict consumer refused it."""
    monkeypatch.setattr(local_threading, "request_id", left_over, raising=False)
    publisher.send("a", scene.queue)
    publisher.send("b", scene.queue, {"correlation-id": None})
    process = scene.pubsub("take", STOMP_CORRELATION_ID_REQUIRED="true")
    process.wait_for_line("^done a")
    process.wait_for_line("^done b")
    assert process.terminate() == 0
    assert scene.left(scene.dead_letters, 0) == []


def test_w19_a_handler_that_publishes_hands_the_id_on_and_the_next_one_has_its_own(scene: Scene) -> None:
    """There the thread kept None between two messages."""
    ids = [str(uuid.uuid4()) for _ in range(2)]
    answers = scene.name + ".answers"
    scene.declare(answers)
    process = scene.pubsub("answer", STOMP_CORRELATION_ID_REQUIRED="false")
    for number, correlation_id in enumerate(ids):
        scene.send({"n": number, "to": f"/queue/{answers}"}, **{"correlation-id": correlation_id})
    messages = scene.left(f"/queue/{answers}", 2)
    assert [message.headers["correlation-id"] for message in messages] == ids
    assert process.terminate() == 0


def test_w20_a_receipt_that_does_not_come_raises_in_its_time(scene: Scene) -> None:
    """There nothing was confirmed, so nothing was waited for, and what was lost was not known."""
    with Proxy(scene.broker.endpoint()) as proxy:
        publisher = Publisher(scene.broker.broker_spec(endpoints=(proxy.endpoint,), receipt_timeout_s=1.0))
        publisher.start()
        proxy.freeze()
        started = time.monotonic()
        with pytest.raises(ReceiptTimeout):
            publisher.send("a", scene.queue, attempt=1)
        assert time.monotonic() - started < 10
        publisher.close()

"""Coming to a broker: W6, W14, W20 and W22."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from django.test import Client

from stompconsole.delivery.connecting import open_session
from stompconsole.errors import ConnectFailed
from tests.dashboard.rows import make_user
from tests.django_stomp.scene import Scene, at, bodies
from tests.support import rabbitmq as rabbitmq_server
from tests.support.brokers import TestBroker
from tests.support.management import Management
from tests.support.proxy import Proxy
from tests.support.waiting import until
from tests.worker.stage import Stage

pytestmark = pytest.mark.slow

AT_ONCE_S = 12.0


@pytest.fixture
def locked(rabbit: Scene) -> Iterator[str]:
    """A queue that one connection has for itself."""
    name = f"{rabbit.name}.locked"
    with rabbit.raw("1.2") as owner:
        owner.done("SUBSCRIBE", {"id": "1", "destination": f"/queue/{name}", "exclusive": "true"})
        yield name


def test_w06_what_the_broker_says_is_in_the_log(rabbit: Scene, locked: str) -> None:
    """There the reason of an ERROR never got into the log: formatting it raised TypeError, "--- Logging error ---"."""
    process = rabbit.pubsub("take", destination=f"/queue/{locked}")
    process.wait_for_line(f"WARNING .*RESOURCE_LOCKED - .*'{locked}'")
    process.wait_for_line(f"^backing off: .*RESOURCE_LOCKED - .*'{locked}'")
    assert process.terminate() == 0
    assert "Logging error" not in process.text()


def test_w06_what_the_broker_says_is_on_the_page(transactional_db: None, rabbit: Scene, locked: str) -> None:
    """There was no page."""
    with Stage(rabbit.broker, rabbit.folder) as stage:
        consumer = stage.consumer("locked", destination=f"/queue/{locked}")
        worker = stage.worker()
        stage.wait_for(consumer, "backing off")
        client = Client()
        client.force_login(make_user("view_console", name="onlooker", is_staff=True))
        assert "RESOURCE_LOCKED" in client.get(consumer.get_absolute_url()).content.decode()
        assert worker.terminate() == 0


def test_w14_a_broker_that_is_down_at_the_start_is_waited_for(scene: Scene) -> None:
    """There the DLQ was declared outside the loop that reconnects: a traceback, and the process ended with 1."""
    scene.broker.stop()
    process = scene.pubsub("take")
    process.wait_for_line(f"^backing off: .*{scene.broker.port}")
    scene.broker.start()
    scene.send("at last")
    process.wait_for_line("^done at last")
    assert process.terminate() == 0


@pytest.fixture
def other_rabbit(rabbitmq: TestBroker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestBroker]:
    """A second RabbitMQ, empty."""
    server = rabbitmq_server.server()
    if server is None:
        pytest.skip("needs a second RabbitMQ, and only a given one is there")
    folder = tmp_path_factory.mktemp("rabbit")
    other = rabbitmq_server.make(server, folder)
    with closing(other.rig):
        other.start()
        yield other


def test_w14_a_standby_that_knows_nothing_gets_its_queues(
    rabbit: Scene, other_rabbit: TestBroker, tmp_path: Path
) -> None:
    """There only the first broker was told of the DLQ: on the standby a failed message was gone."""
    with Proxy(rabbit.broker.endpoint()) as primary, Scene(other_rabbit, tmp_path) as there:
        standby = {"STOMP_SERVER_STANDBY_HOST": other_rabbit.host, "STOMP_SERVER_STANDBY_PORT": str(other_rabbit.port)}
        process = rabbit.pubsub("fail", **at(primary.endpoint), **standby)
        rabbit.send("here")
        process.wait_for_line("^failed here")
        assert bodies(rabbit.left(rabbit.dead_letters, 1)) == ["here"]
        primary.close()
        with Management(other_rabbit) as management:
            until(lambda: management.queue(rabbit.name), 30, "it is declared on the standby")
        there.client().send(there.existing(rabbit.queue), b'"there"', headers={"correlation-id": "1"})
        process.wait_for_line("^failed there")
        assert process.terminate() == 0
        assert bodies(there.left(rabbit.dead_letters, 1)) == ["there"]


def test_w20_a_server_that_says_nothing_is_given_up(scene: Scene) -> None:
    """There connecting waited for CONNECTED for ever."""
    with Proxy(scene.broker.endpoint()) as proxy:
        proxy.freeze()
        started = time.monotonic()
        with pytest.raises(ConnectFailed, match=r"did not answer CONNECT in 0\.5 s"):
            open_session(scene.broker.broker_spec(endpoints=(proxy.endpoint,), connect_timeout_s=0.5))
        assert time.monotonic() - started < AT_ONCE_S


def test_w20_a_signal_ends_a_process_that_is_waiting_for_a_silent_server(scene: Scene) -> None:
    """There it waited on, and no signal ended it."""
    with Proxy(scene.broker.endpoint()) as proxy:
        proxy.freeze()
        process = scene.pubsub("take", **at(proxy.endpoint))
        until(lambda: proxy.connections, 30, "it has connected")
        assert process.terminate(AT_ONCE_S) == 0


def test_w20_a_receipt_for_disconnect_that_does_not_come_is_given_up(scene: Scene) -> None:
    """There nothing limited the wait for it."""
    with Proxy(scene.broker.endpoint()) as proxy:
        process = scene.pubsub("take", **at(proxy.endpoint))
        scene.send("a")
        process.wait_for_line("^done a")
        proxy.freeze()
        assert process.terminate(AT_ONCE_S) == 0


@pytest.mark.parametrize("password", ["none", "."])
def test_w22_any_password_is_used(rabbit: Scene, management: Management, password: str) -> None:
    """There "none" and "." were taken for no password, and CONNECT went out without one: refused."""
    management.add_user(rabbit.name, password, configure=".*", write=".*", read=".*")
    process = rabbit.pubsub("take", STOMP_SERVER_USER=rabbit.name, STOMP_SERVER_PASSWORD=password)
    rabbit.send("a")
    process.wait_for_line("^done a")
    assert process.terminate() == 0

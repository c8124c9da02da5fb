"""``pubsub DESTINATION HANDLER`` as a process, without a migrated database."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from stompconsole.delivery.sender import Senders
from tests.support import processes
from tests.support.brokers import TestBroker
from tests.support.ports import free_port
from tests.support.processes import ManagedProcess

pytestmark = pytest.mark.slow

ORDERS = "/queue/orders"


@pytest.fixture
def senders() -> Iterator[Senders]:
    made = Senders()
    yield made
    made.close(1.0)


def send(senders: Senders, broker: TestBroker, *bodies: object, **headers: str) -> None:
    sender = senders.of(broker.broker_spec())
    for body in bodies:
        sender.send(ORDERS, {"persistent": "true", **headers}, json.dumps(body).encode()).result(10)


def pubsub(folder: Path, handler: str, *, port: int, destination: str = ORDERS, **settings: str) -> ManagedProcess:
    environment = {
        "DATABASE_URL": f"sqlite:///{folder / 'never-migrated.sqlite3'}",
        "STOMP_SERVER_HOST": "127.0.0.1",
        "STOMP_SERVER_PORT": str(port),
        "STOMP_SERVER_USER": "demo",
        "STOMP_SERVER_PASSWORD": "demo",
        "STOMP_CORRELATION_ID_REQUIRED": "false",
        **settings,
    }
    return processes.start_manage("pubsub", destination, f"tests.management.sample.{handler}", env=environment)


def test_it_hands_messages_to_the_handler_and_ends_with_0(
    devbroker: TestBroker, senders: Senders, tmp_path: Path
) -> None:
    with pubsub(tmp_path, "say", port=devbroker.port) as process:
        process.wait_for_line("^/queue/orders goes to tests.management.sample.say")
        process.wait_for_line("^running")
        send(senders, devbroker, {"n": 1})
        process.wait_for_line(r"^got \{'n': 1\} with id")
        assert process.terminate() == 0
        process.wait_for_line("^Ended")


def test_a_required_correlation_id_that_is_missing_makes_a_dead_letter(
    devbroker: TestBroker, senders: Senders, tmp_path: Path
) -> None:
    with pubsub(tmp_path, "say", port=devbroker.port, STOMP_CORRELATION_ID_REQUIRED="true") as process:
        process.wait_for_line("^running")
        send(senders, devbroker, "without")
        send(senders, devbroker, "second", **{"correlation-id": "abc"})
        process.wait_for_line("^got second with id")
        assert process.terminate() == 0
        assert "got without" not in process.text()
    with pubsub(tmp_path, "say", port=devbroker.port, destination="/queue/DLQ.orders") as process:
        process.wait_for_line("^got without with id")


def test_a_message_whose_handler_fails_is_dead_lettered_as_django_stomp_did(
    devbroker: TestBroker, senders: Senders, tmp_path: Path
) -> None:
    with pubsub(tmp_path, "refuse", port=devbroker.port) as process:
        send(senders, devbroker, "bad")
        process.wait_for_line("^refused")
        assert process.terminate() == 0
    with pubsub(tmp_path, "say", port=devbroker.port, destination="/queue/DLQ.orders") as process:
        process.wait_for_line("^got bad")


def test_it_waits_for_a_broker_that_is_down_and_says_so(
    devbroker: TestBroker, senders: Senders, tmp_path: Path
) -> None:
    devbroker.stop()
    with pubsub(tmp_path, "say", port=devbroker.port) as process:
        process.wait_for_line(f"^backing off: .*{devbroker.port}")
        devbroker.start()
        send(senders, devbroker, "at last")
        process.wait_for_line("^got at last")
        assert process.terminate() == 0


def test_a_handler_in_work_is_waited_for(devbroker: TestBroker, senders: Senders, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    with pubsub(tmp_path, "wait", port=devbroker.port) as process:
        send(senders, devbroker, str(gate))
        process.wait_for_line("^begun")
        process.signal(signal.SIGINT)
        process.wait_for_line("^draining")
        gate.touch()
        assert process.wait() == 0
        assert "\ndone\n" in process.text()


def test_a_handler_that_takes_too_long_is_given_up(devbroker: TestBroker, senders: Senders, tmp_path: Path) -> None:
    with pubsub(tmp_path, "wait", port=devbroker.port, STOMP_GRACEFUL_WAIT_SECONDS="1") as process:
        send(senders, devbroker, str(tmp_path / "never"))
        process.wait_for_line("^begun")
        assert process.terminate(15) == 0
        process.wait_for_line("^A handler still runs after 1 s")


def test_several_messages_are_handled_at_once_with_workers(
    devbroker: TestBroker, senders: Senders, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    with pubsub(tmp_path, "wait", port=devbroker.port, STOMP_PROCESS_MSG_WORKERS="3") as process:
        send(senders, devbroker, *[str(gate)] * 3)
        process.wait_for_line("(?s)begun.*begun.*begun")
        gate.touch()
        assert process.terminate() == 0
        assert process.text().count("done") == 3


@pytest.mark.parametrize(
    ("handler", "words"),
    [
        ("missing", "module tests.management.sample has no 'missing'"),
        ("not_callable", "can't be called"),
        ("nowhere.at_all", "tests.management.sample"),
    ],
)
def test_a_handler_that_can_not_be_had_is_said_clearly(tmp_path: Path, handler: str, words: str) -> None:
    with pubsub(tmp_path, handler, port=free_port()) as process:
        assert process.wait() == 1
        assert words in process.text()
        assert "Traceback" not in process.text()


def test_without_a_broker_in_the_settings_it_says_which_one_is_missing(tmp_path: Path) -> None:
    with pubsub(tmp_path, "say", port=free_port(), STOMP_SERVER_HOST="") as process:
        assert process.wait() == 1
        assert "STOMP_SERVER_HOST is not set" in process.text()

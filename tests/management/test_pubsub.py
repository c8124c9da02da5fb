"""``pubsub DESTINATION HANDLER``: what its settings mean, and as a process, without a migrated database."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.test import override_settings

from stompconsole.delivery.senders import Senders
from stompconsole.management.commands import pubsub as pubsub_module
from stompconsole.transport.frames import Frame
from tests.management.calling import calling
from tests.management.queues import fill, settings_of, take_out, unused
from tests.support import processes
from tests.support.brokers import TestBroker
from tests.support.dev_rig import DevRig
from tests.support.devbroker import running_devbroker
from tests.support.ports import free_port
from tests.support.processes import ManagedProcess
from tests.support.waiting import until

pytestmark = pytest.mark.slow

ORDERS = "/queue/orders"
SAMPLE = "tests.management.sample"


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
        process.wait_for_line("^What is in hand is not done after 1 s")


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


def test_the_settings_of_django_stomp_mean_what_they_meant() -> None:
    given = {
        "STOMP_SERVER_HOST": "127.0.0.1",
        "STOMP_SUBSCRIPTION_ID": "orders",
        "STOMP_LISTENER_CLIENT_ID": "shop",
        "STOMP_DURABLE_TOPIC_SUBSCRIPTION": "true",
        "STOMP_DEFAULT_EXCLUSIVE_QUEUE": "y",
        "STOMP_PROCESS_MSG_WORKERS": "4",
        "STOMP_CORRELATION_ID_REQUIRED": "f",
        "STOMP_WAIT_TO_CONNECT": "3",
    }
    with override_settings(**given):
        topic = pubsub_module._spec("/topic/prices", "orders.handlers.price_of")
        queue = pubsub_module._spec("/queue/orders", "orders.handlers.price_of")
    assert (topic.subscription_id, topic.subscriber, topic.exclusive) == ("orders", "shop-listener", True)
    assert (topic.threads, topic.correlation_id_required, topic.broker.reconnect_pause_s) == (4, False, 3.0)
    assert (queue.durable, queue.dead_letters) == (False, "/queue/DLQ.orders")


def test_in_the_foreground_messages_come_one_at_a_time(devbroker: TestBroker, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    fill(devbroker, ORDERS, [json.dumps(str(gate)).encode()] * 3, **{"correlation-id": "1"})
    assert isinstance(devbroker.rig, DevRig)
    inside = devbroker.rig.running
    with pubsub(tmp_path, "wait", port=devbroker.port, STOMP_PROCESS_MSG_ON_BACKGROUND="false") as process:
        process.wait_for_line("^begun")
        assert (inside.depth(ORDERS), inside.unacked(ORDERS)) == (2, 1)
        gate.touch()
        until(lambda: inside.depth(ORDERS) + inside.unacked(ORDERS) == 0, what="all are handled, one after the other")


def test_subscription_and_client_have_the_names_that_django_stomp_gave_them() -> None:
    with running_devbroker(transcript_frames=100) as broker:
        lead = {
            "STOMP_SERVER_HOST": broker.host,
            "STOMP_SERVER_PORT": broker.port,
            "STOMP_SUBSCRIPTION_ID": "orders",
            "STOMP_LISTENER_CLIENT_ID": "shop",
        }
        with override_settings(**lead), calling(pubsub_module.Command(), ORDERS, f"{SAMPLE}.keep") as running:
            running.wait_for("running")
            running.stop()
        frames = {line.command: line.headers for lines in broker.transcripts().values() for line in lines}
    assert frames["SUBSCRIBE"]["id"] == "orders-listener"
    assert re.fullmatch("shop-[0-9a-f]{32}-listener", frames["CONNECT"]["client-id"])


def test_what_is_handled_is_acked_and_what_fails_is_sent_to_a_dlq_that_was_not_there(any_broker: TestBroker) -> None:
    orders = unused("orders")
    dead_letters = orders.replace("/queue/", "/queue/DLQ.")
    with (
        override_settings(**settings_of(any_broker)),
        calling(pubsub_module.Command(), orders, f"{SAMPLE}.refuse_odd") as running,
    ):
        fill(any_broker, orders, [str(number).encode() for number in range(10)], **{"correlation-id": "abc"})
        dead: list[Frame] = []

        def all_are_dead() -> bool:
            dead.extend(take_out(any_broker, dead_letters))
            return len(dead) >= 5

        until(all_are_dead, 30, "five are dead-lettered")
        running.stop()
    assert sorted(letter.body for letter in dead) == [b"1", b"3", b"5", b"7", b"9"]
    assert {letter.headers["stompconsole-error-message"] for letter in dead} == {"odd"}
    assert {letter.headers["correlation-id"] for letter in dead} == {"abc"}
    assert take_out(any_broker, orders) == []


def test_a_name_that_the_broker_can_not_have_ends_it_with_the_right_one(rabbitmq: TestBroker) -> None:
    lead = override_settings(**settings_of(rabbitmq))
    with (
        lead,
        pytest.raises(CommandError, match="write /queue/a%2Fb"),
        calling(pubsub_module.Command(), "/queue/a/b", f"{SAMPLE}.keep") as running,
    ):
        running.wait()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "DESTINATION is missing"),
        (["/queue/a"], "HANDLER is missing"),
        (["/topic/", "a.b"], "DESTINATION is '/topic/'. The name is missing"),
        (["/queue/a b", "a.b"], "It can't contain blanks"),
    ],
)
def test_arguments_that_can_not_be_are_said(arguments: list[str], words: str) -> None:
    with override_settings(STOMP_SERVER_HOST="127.0.0.1"), pytest.raises(CommandError, match=re.escape(words)):
        call_command("pubsub", *arguments)

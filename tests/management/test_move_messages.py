"""``move_messages``: what arrives, what is left, and when it ends."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from typing import Any

import pytest
from django.core.management import CommandError
from django.test import override_settings

from stompconsole.delivery import envelope
from stompconsole.management.commands.move_messages import Command
from stompconsole.models import Broker
from tests.management.calling import called, calling
from tests.management.queues import bodies, fill, numbered, settings_of, take_out, unused
from tests.support.brokers import TestBroker
from tests.support.dev_rig import DevRig, dev_broker
from tests.support.ports import free_port
from tests.support.waiting import until

NAME = "move_messages"

OURS = {
    envelope.DEAD_LETTER_ID: "0b6f3a3e-3d1c-4d0f-8f57-6f0f6a1f9a10",
    envelope.FAILURE_ID: "d0a3f0a4-6a0b-4b54-9a51-0f5fd6d2f6b1",
    envelope.REPLAY_ID: "7",
    envelope.ERROR_MESSAGE: "no such order",
}


@pytest.fixture
def at(any_broker: TestBroker) -> Any:
    """The settings lead to each broker in turn."""
    with override_settings(**settings_of(any_broker)):
        yield any_broker


@pytest.mark.long
def test_every_message_is_moved_in_order_and_it_says_how_many(at: TestBroker) -> None:
    source, target = unused("source"), unused("target")
    fill(at, source, numbered(50))
    said = called(NAME, source, target, until_empty=True)
    assert f"Moved 50 messages from {source} to {target} in " in said
    assert bodies(at, target) == numbered(50)
    assert bodies(at, source) == []


def test_never_one_more_than_the_limit_is_moved(at: TestBroker) -> None:
    source, target = unused("source"), unused("target")
    fill(at, source, numbered(30))
    said = called(NAME, source, target, limit=7)
    assert "Moved 7 messages" in said
    assert "That is the limit" in said
    assert bodies(at, target) == numbered(30)[:7]
    # ActiveMQ does not put back in order what it had handed out already.
    assert sorted(bodies(at, source)) == numbered(30)[7:]


@pytest.mark.long
def test_no_more_is_fetched_than_may_be_moved(devbroker: TestBroker) -> None:
    fill(devbroker, "/queue/orders", numbered(30))
    assert isinstance(devbroker.rig, DevRig)
    inside = devbroker.rig.running
    inside.faults.block_sends("/queue/kept")
    with (
        override_settings(**settings_of(devbroker)),
        calling(Command(), "/queue/orders", "/queue/kept", limit=7) as running,
    ):
        until(lambda: inside.unacked("/queue/orders"), what="some are fetched")
        running.wait_for("running")
        assert inside.unacked("/queue/orders") == 7
        running.stop()


@pytest.mark.long
def test_bodies_and_the_teams_headers_arrive_as_they_were(at: TestBroker) -> None:
    source, target = unused("source"), unused("target")
    odd = [b"\0\xff\x00binary", "naïve ☂".encode(), b'{"a": 1}']
    fill(at, source, odd, **{"correlation-id": "abc-1", "x-team": "a:b\\c", "content-type": "application/octet-stream"})
    called(NAME, source, target, until_empty=True)
    moved = take_out(at, target)
    assert [message.body for message in moved] == odd
    for message in moved:
        assert message.headers["correlation-id"] == "abc-1"
        assert message.headers["x-team"] == "a:b\\c"
        assert message.headers["content-type"] == "application/octet-stream"


@pytest.mark.long
def test_a_message_without_a_correlation_id_is_moved_without_one(at: TestBroker) -> None:
    source, target = unused("source"), unused("target")
    fill(at, source, [b"as it is"])
    called(NAME, source, target, until_empty=True)
    (moved,) = take_out(at, target)
    assert "correlation-id" not in moved.headers


@pytest.mark.long
def test_what_is_moved_outlives_a_restart(at: TestBroker) -> None:
    source, target = unused("source"), unused("target")
    fill(at, source, numbered(3))
    called(NAME, source, target, until_empty=True)
    at.restart()
    assert bodies(at, target) == numbered(3)


@pytest.mark.long
def test_a_dead_letter_moved_back_is_an_ordinary_message_again(devbroker: TestBroker) -> None:
    fill(devbroker, "/queue/DLQ.orders", [b"1"], **OURS, **{"correlation-id": "abc"})
    with override_settings(**settings_of(devbroker)):
        called(NAME, "/queue/DLQ.orders", "/queue/orders", until_empty=True)
    (moved,) = take_out(devbroker, "/queue/orders")
    assert moved.headers["correlation-id"] == "abc"
    assert not [name for name in moved.headers if name.startswith(envelope.PREFIX)]


@pytest.mark.long
def test_a_dead_letter_moved_to_other_dead_letters_keeps_why_it_died(devbroker: TestBroker) -> None:
    fill(devbroker, "/queue/DLQ.orders", [b"1"], **OURS)
    with override_settings(**settings_of(devbroker)):
        called(NAME, "/queue/DLQ.orders", "/queue/DLQ.orders.old", until_empty=True)
    (moved,) = take_out(devbroker, "/queue/DLQ.orders.old")
    assert OURS.items() <= moved.headers.items()


def test_the_queue_that_django_stomp_declared_by_a_message_is_not_declared_by_its_move(rabbitmq: TestBroker) -> None:
    source, target = unused("source"), unused("target")
    theirs = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": f"DLQ.{source.removeprefix('/queue/')}"}
    fill(rabbitmq, source, [b"1"], **theirs)
    # Its own spelling declares nothing: the queue is there with arguments that a plain SUBSCRIBE does not name.
    with override_settings(**settings_of(rabbitmq)):
        called(NAME, source, target, until_empty=True)
        called(NAME, target, source, until_empty=True)
    (moved,) = take_out(rabbitmq, source.replace("/queue/", "/amq/queue/"))
    assert moved.body == b"1"
    # Declared plainly: with the arguments of the other one this would be refused.
    assert bodies(rabbitmq, target) == []


def test_without_an_end_it_waits_for_more_until_it_is_told_to_stop(at: TestBroker) -> None:
    source, target = unused("source"), unused("target")
    with calling(Command(), source, target) as running:
        running.wait_for("running")
        fill(at, source, [b"1"])
        until(lambda: _count(running.text) == 1 or bodies(at, target) == [b"1"], what="it is moved")
        fill(at, source, [b"2"])
        until(lambda: b"2" in bodies(at, target), what="the next one is moved too")
        assert "Moved 2 messages" in running.stop()
        assert "told to stop" in running.text()


def _count(text: Callable[[], str]) -> int:
    found = re.findall(r"moved (\d+)", text())
    return int(found[-1]) if found else 0


@pytest.mark.long
def test_a_source_on_another_broker_is_read_with_the_same_login(devbroker: TestBroker) -> None:
    with dev_broker() as other, override_settings(**settings_of(devbroker)):
        fill(other, "/queue/orders", numbered(5))
        called(NAME, "/queue/orders", "/queue/orders", other.host, str(other.port), until_empty=True)
        assert bodies(other, "/queue/orders") == []
    assert bodies(devbroker, "/queue/orders") == numbered(5)


def test_a_source_that_is_away_is_never_looked_for_at_the_standby_of_the_target(devbroker: TestBroker) -> None:
    gone = free_port()
    with dev_broker() as standby:
        fill(standby, "/queue/orders", numbered(5))
        lead = settings_of(
            devbroker, STOMP_SERVER_STANDBY_HOST=standby.host, STOMP_SERVER_STANDBY_PORT=standby.port,
            STOMP_WAIT_TO_CONNECT="0.2",
        )  # fmt: skip
        with (
            override_settings(**lead),
            calling(Command(), "/queue/orders", "/queue/kept", "127.0.0.1", str(gone), until_empty=True) as running,
        ):
            running.wait_for(f"backing off: can't reach 127.0.0.1:{gone}")
            running.stop()
        assert bodies(standby, "/queue/orders") == numbered(5)


def test_a_target_that_keeps_nothing_is_told_of(devbroker: TestBroker) -> None:
    with override_settings(**settings_of(devbroker)):
        said = called(NAME, "/queue/orders", "/topic/orders", until_empty=True)
    assert "/topic/orders keeps nothing itself" in said


@pytest.mark.long
def test_a_broker_of_the_admin_can_be_named(transactional_db: None, devbroker: TestBroker) -> None:
    Broker.objects.create(
        name="other", host=devbroker.host, port=devbroker.port, user=devbroker.user, password=devbroker.password
    )
    fill(devbroker, "/queue/orders", [b"1"])
    called(NAME, "/queue/orders", "/queue/kept", broker="other", until_empty=True)
    assert bodies(devbroker, "/queue/kept") == [b"1"]
    with pytest.raises(CommandError, match=r"no broker named 'another'.*other"):
        called(NAME, "/queue/orders", "/queue/kept", broker="another")


def test_arguments_can_be_given_by_name(devbroker: TestBroker) -> None:
    fill(devbroker, "/queue/orders", [b"1"])
    with override_settings(**settings_of(devbroker)):
        called(NAME, source_destination="/queue/orders", target_destination="/queue/kept", limit=1)
    assert bodies(devbroker, "/queue/kept") == [b"1"]


@pytest.mark.long
def test_bodies_never_get_into_the_log(devbroker: TestBroker, caplog: pytest.LogCaptureFixture) -> None:
    fill(devbroker, "/queue/orders", [b"a body that is nobody's business"] * 3)
    with caplog.at_level(logging.DEBUG, "stompconsole"), override_settings(**settings_of(devbroker)):
        said = called(NAME, "/queue/orders", "/queue/kept", until_empty=True)
    assert "nobody's business" not in caplog.text + said


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "SOURCE is missing"),
        (["/queue/a"], "TARGET is missing"),
        (["/queue/a", "/queue/"], "TARGET is '/queue/'. The name is missing"),
        (["/queue/a", "/queue/b c"], "TARGET is '/queue/b c'. It can't contain blanks"),
        (["/queue/a", "/queue/b.*"], "TARGET is '/queue/b.*'. * stands for many destinations"),
        (["/queue/a", "/queue/a"], "/queue/a can't be moved to itself"),
        (["/amq/queue/a", "/queue/a"], "/amq/queue/a can't be moved to itself"),
        (["/queue/a", "/amq/queue/b"], "Write /queue/b"),
        (["/queue/a", "a"], "/queue/a can't be moved to itself"),
        (["/queue/a", "/queue/b", "127.0.0.1"], "You should provide broker_port_for_source_destination option as well"),
        (["/queue/a", "/queue/a", "localhost", "{port}"], "/queue/a can't be moved to itself"),
        (["/queue/a", "/queue/b", "127.0.0.1", "70000"], "a port is 1 to 65535"),
    ],
)
def test_what_can_not_be_done_is_said_before_anything_is_connected(arguments: list[str], words: str) -> None:
    port = free_port()
    somewhere = {"STOMP_SERVER_HOST": "127.0.0.1", "STOMP_SERVER_PORT": port}
    with override_settings(**somewhere), pytest.raises(CommandError, match=re.escape(words)):
        called(NAME, *(argument.format(port=port) for argument in arguments))


def test_a_port_without_its_host_is_said() -> None:
    missing = "You should provide broker_host_for_source_destination option as well"
    with override_settings(STOMP_SERVER_HOST="127.0.0.1"), pytest.raises(CommandError, match=missing):
        called(NAME, "/queue/a", "/queue/b", broker_port_for_source_destination=61613)


def test_without_a_broker_in_the_settings_it_says_what_to_set() -> None:
    with override_settings(STOMP_SERVER_HOST=None), pytest.raises(CommandError, match="STOMP_SERVER_HOST is not set"):
        called(NAME, "/queue/a", "/queue/b")


@pytest.mark.parametrize("limit", [0, -3, "many"])
def test_a_limit_that_is_none_is_refused(limit: object) -> None:
    with override_settings(STOMP_SERVER_HOST="127.0.0.1"), pytest.raises(CommandError, match="no number of messages"):
        called(NAME, "/queue/a", "/queue/b", limit=limit)

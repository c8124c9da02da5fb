"""``ack_all_messages``: what is thrown away, and what is not."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
from django.core.management import CommandError
from django.test import override_settings

from stompconsole.management.commands.ack_all_messages import Command
from tests.contract.client import Client
from tests.management.calling import called, calling
from tests.management.queues import bodies, fill, numbered, settings_of, through
from tests.support.brokers import TestBroker
from tests.support.dev_rig import DevRig
from tests.support.ports import free_port
from tests.support.proxy import Proxy
from tests.support.waiting import until

NAME = "ack_all_messages"


@pytest.fixture
def at(any_broker: TestBroker) -> Iterator[TestBroker]:
    """The settings lead to each broker in turn."""
    with override_settings(**settings_of(any_broker)):
        yield any_broker


def is_empty(broker: TestBroker, destination: str) -> bool:
    """Of the development broker: nothing is there, and nobody holds anything."""
    assert isinstance(broker.rig, DevRig)
    inside = broker.rig.running
    return inside.depth(destination) + inside.unacked(destination) == 0


@pytest.mark.long
def test_everything_is_thrown_away_and_it_says_how_much(at: TestBroker, destination: str) -> None:
    fill(at, destination, numbered(1_200))
    said = called(NAME, destination, until_empty=True)
    assert f"Acknowledged 1,200 messages of {destination} in " in said
    assert bodies(at, destination) == []


def test_never_one_more_than_the_limit_is_thrown_away(at: TestBroker, destination: str) -> None:
    fill(at, destination, numbered(700))
    assert "Acknowledged 601 messages" in called(NAME, destination, limit=601)
    assert sorted(bodies(at, destination)) == numbered(700)[601:]


def test_an_empty_queue_ends_it_at_once(at: TestBroker, destination: str) -> None:
    assert "Acknowledged 0 messages" in called(NAME, destination, until_empty=True)


@pytest.mark.long
@pytest.mark.parametrize("kind", ["activemq", "rabbitmq"])
def test_what_another_consumer_holds_is_told_of_where_it_can_be_known(
    request: pytest.FixtureRequest, kind: str, destination: str
) -> None:
    broker: TestBroker = request.getfixturevalue(kind)
    holder = Client(broker.endpoint(), broker.login())
    holder.send(destination, b"1")
    held = holder.subscribe(destination).wait(1)
    with override_settings(**settings_of(broker)):
        said = called(NAME, destination, until_empty=True, idle=1.0)
    words = {"activemq": "another consumer holds it", "rabbitmq": "what another consumer holds is not seen"}
    assert words[kind] in said
    holder.ack(*held)
    holder.disconnect()


def test_without_an_end_it_goes_on_until_it_is_told_to_stop(devbroker: TestBroker, destination: str) -> None:
    with override_settings(**settings_of(devbroker)), calling(Command(), destination) as running:
        running.wait_for("running")
        fill(devbroker, destination, numbered(3))
        until(lambda: is_empty(devbroker, destination), what="they are thrown away")
        assert "told to stop" in running.stop()


def test_a_connection_that_is_lost_is_opened_again(devbroker: TestBroker, destination: str) -> None:
    with Proxy(devbroker.endpoint()) as proxy:
        at = settings_of(through(devbroker, proxy.endpoint), STOMP_WAIT_TO_CONNECT="0.2")
        with override_settings(**at), calling(Command(), destination) as running:
            running.wait_for("running")
            proxy.cut()
            running.wait_for("backing off")
            fill(devbroker, destination, numbered(3))
            until(lambda: is_empty(devbroker, destination), what="they are thrown away")
            assert "The connection to" in running.stop()


@pytest.mark.long
def test_a_source_that_may_not_be_read_ends_it_with_the_reason(devbroker: TestBroker, destination: str) -> None:
    wrong = settings_of(devbroker, STOMP_SERVER_PASSWORD="wrong")
    with override_settings(**wrong), pytest.raises(CommandError, match="refused the login"):
        called(NAME, destination, until_empty=True)


def test_bodies_never_get_into_the_log(
    devbroker: TestBroker, destination: str, caplog: pytest.LogCaptureFixture
) -> None:
    fill(devbroker, destination, [b"a body that is nobody's business"])
    with caplog.at_level(logging.DEBUG, "stompconsole"), override_settings(**settings_of(devbroker)):
        said = called(NAME, destination, until_empty=True)
    assert "nobody's business" not in caplog.text + said


@pytest.mark.parametrize("destination", ["", "/queue/", "/queue/a b"])
def test_a_destination_that_can_not_be_one_is_refused(destination: str) -> None:
    somewhere = {"STOMP_SERVER_HOST": "127.0.0.1", "STOMP_SERVER_PORT": free_port()}
    with override_settings(**somewhere), pytest.raises(CommandError, match=r"^DESTINATION is"):
        called(NAME, destination)


def test_a_name_that_the_broker_can_not_have_is_said_as_it_would_be_right(rabbitmq: TestBroker) -> None:
    with override_settings(**settings_of(rabbitmq)), pytest.raises(CommandError, match="write /queue/a%2Fb"):
        called(NAME, "/queue/a/b", until_empty=True)


def test_without_a_broker_in_the_settings_it_says_what_to_set() -> None:
    with override_settings(STOMP_SERVER_HOST=None), pytest.raises(CommandError, match="STOMP_SERVER_HOST is not set"):
        called(NAME, "/queue/a")

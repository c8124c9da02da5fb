"""What tests can see of a broker, and where it may listen."""

from __future__ import annotations

import asyncio
import gc
import socket

import pytest

from stompconsole.devbroker import BrokerOptions, DevBroker
from stompconsole.devbroker.refusals import Refused
from stompconsole.devbroker.transcripts import Way
from stompconsole.errors import ConfigurationError
from tests.support.devbroker import RunningDevBroker, running_devbroker

QUEUE = "/queue/a"


@pytest.mark.parametrize(
    "host", ["0.0.0.0", "", "::", "192.0.2.1", "10.0.0.1", "example.com", "localhost.example.com", "2130706433"]
)
def test_a_host_that_is_not_loopback_is_refused(host: str) -> None:
    with pytest.raises(ConfigurationError, match="not for production and takes loopback addresses only"):
        BrokerOptions(host=host)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.0.0.2"])
def test_it_listens_on_any_loopback_address(host: str) -> None:
    with running_devbroker(host=host) as broker:
        broker.client().close()


def test_it_listens_on_loopback_of_ipv6() -> None:
    try:
        with running_devbroker(host="::1") as broker:
            assert broker.broker.address.startswith("[::1]:")
            broker.client().close()
    except ConfigurationError as error:
        pytest.skip(f"this machine has no IPv6: {error}")


@pytest.mark.parametrize(
    ("options", "what"),
    [({"port": 65_536}, "port 65536"), ({"port": -1}, "port -1"), ({"password": "secret"}, "without a user")],
)
def test_options_that_can_not_work_are_refused(options: dict[str, object], what: str) -> None:
    with pytest.raises(ConfigurationError, match=what):
        BrokerOptions(**options)  # type: ignore[arg-type]


def test_a_password_is_not_shown() -> None:
    assert "secret" not in repr(BrokerOptions(user="app", password="secret"))


def test_a_port_in_use_is_told(broker: RunningDevBroker) -> None:
    with (
        pytest.raises(ConfigurationError, match=f"can't listen on 127.0.0.1:{broker.port}"),
        running_devbroker(port=broker.port),
    ):
        pass


def test_the_start_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO", logger="stompconsole.devbroker"), running_devbroker() as broker:
        greeting = f"Development broker on 127.0.0.1:{broker.port} (in memory, not for production)"
        assert greeting in caplog.messages


def test_what_is_ready_can_be_looked_at_and_stays(broker: RunningDevBroker) -> None:
    broker.send(QUEUE, b"1", headers={"x": "1"})
    with broker.client() as client:
        client.done("SUBSCRIBE", {"id": "s", "destination": "/queue/b"})
        client.done("SUBSCRIBE", {"id": "t", "destination": "/topic/t"})
        assert broker.destinations() == [QUEUE, "/queue/b", "/topic/t"]
        assert broker.subscriptions("/queue/b") == 1
        assert broker.connections() == 1

    (message,) = broker.messages(QUEUE)
    assert message.headers == {"destination": QUEUE, "message-id": message.message_id, "x": "1"}
    assert (message.body, message.redelivered) == (b"1", False)
    assert broker.depth(QUEUE) == 1
    assert broker.depth("/queue/unknown") == 0


def test_messages_can_be_put_in_before_the_start() -> None:
    unstarted = DevBroker(BrokerOptions(port=0))
    unstarted.send(QUEUE, b"1")

    assert unstarted.depth(QUEUE) == 1


def test_a_transcript_tells_what_was_said_without_the_password(version: str) -> None:
    with running_devbroker(transcript_frames=100, user="app", password="secret") as broker:
        broker.send(QUEUE, b"1")
        with broker.client(version, {"login": "app", "passcode": "secret"}) as client:
            client.done("SUBSCRIBE", {"id": "s", "destination": QUEUE, "ack": "client"})
            message = client.read_frame()
            client.refused("SEND")
            client.settle(message)
            client.done("DISCONNECT")
        (lines,) = broker.transcripts().values()

    assert [(line.way, line.command) for line in lines] == [
        (Way.RECEIVED, "CONNECT"),
        (Way.SENT, "CONNECTED"),
        (Way.RECEIVED, "SUBSCRIBE"),
        (Way.SENT, "RECEIPT"),
        (Way.SENT, "MESSAGE"),
        (Way.RECEIVED, "SEND"),
        (Way.SENT, "ERROR"),
        (Way.RECEIVED, "ACK"),
        (Way.RECEIVED, "DISCONNECT"),
        (Way.SENT, "RECEIPT"),
    ]
    assert lines[4].headers == message.headers
    assert "secret" not in str(lines)


def test_transcripts_are_bounded() -> None:
    with running_devbroker(transcript_frames=3) as broker, broker.client() as client:
        for _ in range(5):
            client.done("SEND", {"destination": QUEUE})
        (lines,) = broker.transcripts().values()

    assert [line.command for line in lines] == ["RECEIPT", "SEND", "RECEIPT"]


def test_there_are_no_transcripts_unless_asked_for(broker: RunningDevBroker) -> None:
    broker.client().close()

    assert broker.transcripts() == {}


def test_only_a_destination_takes_messages(broker: RunningDevBroker) -> None:
    with pytest.raises(Refused, match="neither /queue/<name> nor /topic/<name>"):
        broker.send("orders", b"1")


@pytest.mark.parametrize("turns", range(6))
def test_a_connection_that_is_being_made_while_it_stops_is_closed(turns: int) -> None:
    async def stop_while_accepting() -> bytes:
        broker = DevBroker(BrokerOptions(port=0))
        await broker.start()
        with socket.create_connection((broker.host, broker.port), timeout=5) as client:
            for _ in range(turns):
                await asyncio.sleep(0)
            await broker.stop()
            try:
                return client.recv(1)
            except ConnectionResetError:
                return b""

    assert asyncio.run(stop_while_accepting()) == b""
    # A connection that nobody closed would warn now, and a warning is an error.
    gc.collect()

"""CONNECT and how it is answered, who is let in, and how a connection ends."""

from __future__ import annotations

import pytest

from stompconsole import __version__
from tests.support.devbroker import RunningDevBroker, running_devbroker
from tests.support.rawstomp import RawClient
from tests.support.waiting import until


def raw(broker: RunningDevBroker) -> RawClient:
    return RawClient(broker.host, broker.port)


@pytest.mark.parametrize("command", ["CONNECT", "STOMP"])
@pytest.mark.parametrize(
    ("accepted", "agreed"), [("1.2", "1.2"), ("1.1", "1.1"), ("1.0,1.1,1.2", "1.2"), ("1.1, 1.0", "1.1")]
)
def test_the_newest_version_both_speak_is_agreed(
    broker: RunningDevBroker, command: str, accepted: str, agreed: str
) -> None:
    with raw(broker) as client:
        client.send_frame(command, {"accept-version": accepted, "host": "any.host.example"})
        answer = client.read_frame()

    assert answer.command == "CONNECTED"
    assert answer["version"] == agreed
    assert answer["server"] == f"stompconsole-devbroker/{__version__}"
    assert answer["session"]
    assert answer["heart-beat"] == "0,0"


@pytest.mark.parametrize("headers", [{"accept-version": "1.0"}, {"accept-version": "3.0"}, {}])
def test_no_common_version_is_answered_with_those_spoken(broker: RunningDevBroker, headers: dict[str, str]) -> None:
    with raw(broker) as client:
        client.send_frame("CONNECT", {**headers, "host": "/"})
        (answer,) = client.wait_until_closed()

    assert answer.command == "ERROR"
    assert answer["version"] == "1.1,1.2"
    assert "1.1,1.2" in answer["message"]
    assert answer.body.decode() == answer["message"]


@pytest.mark.parametrize("text", ["1000", "a,b", "-1,0", "1,2,3"])
def test_a_heart_beat_header_that_is_none_is_refused(broker: RunningDevBroker, text: str) -> None:
    with raw(broker) as client:
        answer = client.connect(headers={"heart-beat": text})

    assert answer.command == "ERROR"
    assert "heart-beat" in answer["message"]


@pytest.mark.parametrize(
    "login",
    [
        {"login": "app", "passcode": "wrong"},
        {"login": "other", "passcode": "p:w\\x"},
        {"login": "app"},
        {},
    ],
)
def test_a_wrong_login_is_told_and_the_connection_closed(login: dict[str, str]) -> None:
    with running_devbroker(user="app", password="p:w\\x") as broker, raw(broker) as client:
        client.send_frame("CONNECT", {"accept-version": "1.2", "host": "/", **login})
        (answer,) = client.wait_until_closed()

    assert answer.command == "ERROR"
    assert "password is wrong" in answer["message"]
    assert "p:w" not in answer["message"]


@pytest.mark.parametrize("passcode", ["p:w\\x", "p\\cw\\\\x"], ids=["as it is", "escaped, as stomp.py sends it"])
def test_the_right_login_is_let_in(passcode: str) -> None:
    with running_devbroker(user="app", password="p:w\\x") as broker:
        broker.client(headers={"login": "app", "passcode": passcode}).close()


def test_anybody_is_let_in_where_no_user_is_set(broker: RunningDevBroker) -> None:
    broker.client(headers={"login": "anybody", "passcode": "anything"}).close()


def test_a_frame_before_connect_ends_the_connection(broker: RunningDevBroker) -> None:
    with raw(broker) as client:
        client.send_frame("SEND", {"destination": "/queue/a"})
        (answer,) = client.wait_until_closed()

    assert "before CONNECT" in answer["message"]


def test_a_second_connect_ends_the_connection(broker: RunningDevBroker, version: str) -> None:
    with broker.client(version) as client:
        client.send_frame("CONNECT", {"accept-version": version, "host": "/"})
        (answer,) = client.wait_until_closed()

    assert "connected already" in answer["message"]


def test_a_client_that_speaks_http_is_told(broker: RunningDevBroker) -> None:
    with raw(broker) as client:
        client.send_bytes(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        (answer,) = client.wait_until_closed()

    assert "no STOMP command" in answer["message"]


def test_a_client_that_sends_no_connect_is_closed() -> None:
    with running_devbroker(connect_timeout_s=0.1) as broker, raw(broker) as client:
        assert client.wait_until_closed() == []


def test_connect_in_crlf_and_frames_right_behind_it_are_taken(broker: RunningDevBroker, version: str) -> None:
    with raw(broker) as client:
        client.send_bytes(
            f"CONNECT\r\naccept-version:{version}\r\nhost:/\r\n\r\n\0\r\n".encode()
            + b"SEND\r\ndestination:/queue/a\r\nreceipt:r1\r\n\r\nbody\0"
        )
        answers = client.read_frames(2)

    assert [answer.command for answer in answers] == ["CONNECTED", "RECEIPT"]
    assert broker.bodies("/queue/a") == [b"body"]


def test_disconnect_is_receipted_and_gives_everything_back_first(broker: RunningDevBroker, version: str) -> None:
    broker.send("/queue/a", b"1", b"2")
    with broker.client(version) as client:
        client.send_frame("SUBSCRIBE", {"id": "s", "destination": "/queue/a", "ack": "client"})
        client.read_frames(2)
        client.done("DISCONNECT")
        assert broker.bodies("/queue/a") == [b"1", b"2"]
        assert client.wait_until_closed() == []

    until(lambda: broker.connections() == 0, what="the connection is gone")


def test_what_follows_disconnect_is_passed_over(broker: RunningDevBroker) -> None:
    with broker.client() as client:
        client.send_bytes(b"DISCONNECT\nreceipt:bye\n\n\0SEND\ndestination:/queue/a\n\nlate\0")
        (answer,) = client.wait_until_closed()

    assert answer["receipt-id"] == "bye"
    assert broker.destinations() == []


def test_an_error_reaches_a_client_that_goes_on_writing(broker: RunningDevBroker) -> None:
    with broker.client() as client:
        client.send_bytes(b"BOGUS\n\n\0" + b"SEND\ndestination:/queue/a\n\nx\0" * 20_000)
        (answer,) = client.wait_until_closed()

    assert "no command" in answer["message"]
    assert broker.destinations() == []

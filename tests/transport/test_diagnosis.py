"""The words on what to change: they name fields and settings that exist, and know what answers instead of STOMP."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from stompconsole.errors import ConnectFailed
from stompconsole.models import Broker
from stompconsole.models.default_broker import SETTING_OF
from stompconsole.transport import connect, diagnosis
from stompconsole.transport.diagnosis import Field
from stompconsole.transport.session import Endpoint, Login, Place

ENDPOINT = Endpoint(host="rabbit-a", port=61613)
STANDBY = Endpoint(host="rabbit-b", port=61613, place=Place.STANDBY)


@pytest.mark.parametrize("field", Field)
def test_every_field_is_called_as_the_form_calls_it_and_its_setting_as_the_settings_do(field: Field) -> None:
    label, setting = field.value
    (row,) = [each for each in Broker._meta.get_fields() if getattr(each, "verbose_name", None) == label]
    assert SETTING_OF.get(row.name, "") == setting


@contextmanager
def answering(*said: bytes, close: bool = True) -> Iterator[Endpoint]:
    """A port that answers whatever comes with these bytes."""
    done = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            client, _ = listener.accept()
            with client:
                client.recv(1_000)
                for part in said:
                    client.sendall(part)
                if not close:
                    done.wait(10)

        thread = threading.Thread(target=answer)
        thread.start()
        try:
            yield Endpoint(host="127.0.0.1", port=listener.getsockname()[1])
        finally:
            done.set()
            thread.join(5)


@pytest.mark.parametrize("close", [True, False])
@pytest.mark.parametrize(
    ("said", "words"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "speaks HTTP, it is no STOMP port.*STOMP_SERVER_PORT"),
        (b"AMQP\0\0\t\1", "speaks AMQP, it is no STOMP port.*STOMP_SERVER_PORT"),
        (b"\0\0\1\x3d\1ActiveMQ\0\0\0\x0c", "speaks OpenWire, it is no STOMP port"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "speaks SSH, it is no STOMP port"),
        (b"-ERR unknown command 'CONNECT'\r\n", "is no STOMP port, it answered .*ERR unknown"),
        (b"\x15\x03\x03\x00\x02\x02\n", "speaks TLS: switch TLS on.*STOMP_USE_SSL"),
    ],
)
def test_what_answers_instead_of_a_broker_is_told_at_once(said: bytes, words: str, close: bool) -> None:
    with answering(said, close=close) as endpoint, pytest.raises(ConnectFailed, match=words):
        connect(endpoint, Login(), connect_timeout_s=5)


def test_an_answer_in_pieces_is_still_stomp() -> None:
    with answering(b"\n", b"CONN", b"ECTED\nversion:1.2\n\n\0", close=False) as endpoint:
        connect(endpoint, Login(), connect_timeout_s=5).abort("seen")


@pytest.mark.parametrize(
    ("words", "advice"),
    [
        ("Bad CONNECT: Access refused for user 'app'", "STOMP_SERVER_PASSWORD"),
        ("Bad CONNECT: Virtual host 'nope' access denied", "STOMP_SERVER_VHOST"),
        ("User name [app] or password is invalid.", "STOMP_SERVER_USER"),
        ("Security Error occurred: User name [app] or password is invalid", "STOMP_SERVER_USER"),
        ("Broker: lab - Client: orders already connected from tcp://127.0.0.1:1", '"client id"'),
    ],
)
def test_a_refused_login_names_what_was_wrong_with_it(words: str, advice: str) -> None:
    told = diagnosis.refused_login(ENDPOINT, words)
    assert words.rstrip(".") in told
    assert advice in told


@pytest.mark.parametrize(
    "words",
    [
        "access_refused: ACCESS_REFUSED - access to queue 'other' in vhost '/' refused for user 'app'",
        "User app is not authorized to write to: queue://other",
        "AMQ229032 User app does not have permission='CREATE_ADDRESS' on address other",
    ],
)
def test_a_missing_right_to_a_destination_says_so(words: str) -> None:
    told = diagnosis.with_advice(words)
    assert told.startswith(words)
    assert '"user" (STOMP_SERVER_USER)' in told
    assert "change the destination" in told


def test_other_errors_are_left_as_the_broker_said_them() -> None:
    assert diagnosis.with_advice("precondition_failed: no such luck") == "precondition_failed: no such luck"


def test_a_standby_is_looked_for_under_its_own_fields() -> None:
    told = diagnosis.unreachable(STANDBY, "refused")
    assert '"standby host" (STOMP_SERVER_STANDBY_HOST)' in told
    assert '"standby port" (STOMP_SERVER_STANDBY_PORT)' in told
    assert '"host"' not in told

"""Sessions begin, stay and end alike on every broker."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator

import pytest

from stompconsole.errors import ConnectFailed, LoginRefused, SessionClosed
from stompconsole.transport import connect
from stompconsole.transport.session import Endpoint, Login
from tests.contract.client import Client
from tests.support.brokers import TestBroker
from tests.support.ports import free_port
from tests.support.proxy import Proxy
from tests.support.waiting import until

OpenClient = Callable[..., Client]


@pytest.fixture
def silent_listener() -> Iterator[Endpoint]:
    """A port that accepts connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield Endpoint(host="127.0.0.1", port=listener.getsockname()[1])


def test_a_session_is_open_once_the_broker_has_answered(client: Client) -> None:
    assert client.session.close_reason is None
    assert client.session.server


def test_a_disconnect_is_confirmed_by_the_broker(client: Client) -> None:
    assert client.session.disconnect(timeout_s=10)
    assert client.session.close_reason == "disconnected"


def test_a_wrong_password_is_refused_in_the_brokers_own_words(any_broker: TestBroker) -> None:
    if not any_broker.checks_logins:
        pytest.skip("this broker was given without a login: it may let anybody in")
    login = any_broker.login(password="wrong")

    with pytest.raises(LoginRefused, match=any_broker.user):
        connect(any_broker.endpoint(), login, connect_timeout_s=10)


def test_a_port_nobody_listens_at_is_told_at_once() -> None:
    began = time.monotonic()

    with pytest.raises(ConnectFailed, match="can't reach"):
        connect(Endpoint(host="127.0.0.1", port=free_port()), Login(), connect_timeout_s=10)

    assert time.monotonic() - began < 5


def test_a_listener_that_never_answers_is_given_up_in_time(silent_listener: Endpoint) -> None:
    began = time.monotonic()

    with pytest.raises(ConnectFailed, match="did not answer CONNECT"):
        connect(silent_listener, Login(), connect_timeout_s=0.5)

    assert 0.5 <= time.monotonic() - began < 3


def test_a_broker_behind_a_proxy_that_refuses_can_not_be_connected_to(any_broker: TestBroker, proxy: Proxy) -> None:
    proxy.refuse()

    with pytest.raises(ConnectFailed):
        connect(proxy.endpoint, any_broker.login(), connect_timeout_s=5)


@pytest.mark.long
def test_an_idle_session_is_kept_open_by_heart_beats(open_client: OpenClient, proxy: Proxy, destination: str) -> None:
    client = open_client(proxy.endpoint, heartbeat_s=(1.0, 1.0))
    before = proxy.counts.from_client

    until(lambda: proxy.counts.from_client >= before + 5, 20, "five heart-beats were written")

    client.send(destination, b"still here")
    assert client.session.close_reason is None


@pytest.mark.long
def test_a_broker_that_falls_silent_ends_the_session(open_client: OpenClient, proxy: Proxy) -> None:
    client = open_client(proxy.endpoint, heartbeat_s=(1.0, 1.0))

    proxy.freeze()

    assert "silent" in client.wait_until_closed(15)


def test_a_cut_connection_ends_the_session_once_and_with_a_reason(open_client: OpenClient, proxy: Proxy) -> None:
    client = open_client(proxy.endpoint)
    reasons: list[str] = []
    client.session.on_close(reasons.append)

    proxy.cut()
    client.wait_until_closed()

    until(lambda: reasons, what="the end is told")
    assert reasons == [client.session.close_reason]
    assert str(proxy.endpoint) in reasons[0]


def test_nothing_goes_over_a_session_that_has_ended(client: Client, destination: str) -> None:
    client.session.abort("enough")

    with pytest.raises(SessionClosed, match="enough"):
        client.session.write(b"\n")
    with pytest.raises(SessionClosed, match="enough"):
        client.session.request("SEND", {"destination": destination}, b"too late").result(5)


def test_what_awaits_a_receipt_fails_when_the_session_ends(open_client: OpenClient, proxy: Proxy) -> None:
    client = open_client(proxy.endpoint)
    proxy.freeze_from_broker()
    awaited = client.session.request("BEGIN", {"transaction": "t"})

    proxy.cut()

    with pytest.raises(SessionClosed):
        awaited.result(10)

"""The proxy breaks connections as networks do."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import suppress

import pytest

from stompconsole.transport.session import Endpoint
from tests.support.proxy import Proxy


@pytest.fixture
def echo() -> Iterator[Endpoint]:
    """A server that sends back what it gets."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            while data := connection.recv(1024):
                connection.sendall(data)

    def accept() -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    yield Endpoint(host="127.0.0.1", port=listener.getsockname()[1])
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join(5)


@pytest.fixture
def proxy(echo: Endpoint) -> Iterator[Proxy]:
    with Proxy(echo) as between:
        yield between


@pytest.fixture
def client(proxy: Proxy) -> Iterator[socket.socket]:
    with socket.create_connection((proxy.endpoint.host, proxy.endpoint.port), 5) as connection:
        connection.sendall(b"hello")
        assert connection.recv(1024) == b"hello"
        yield connection


def test_what_was_cut_is_cut_on_the_clients_side(client: socket.socket, proxy: Proxy) -> None:
    proxy.cut()

    assert _ended(client)


def test_what_is_written_while_frozen_comes_after_the_thaw(client: socket.socket, proxy: Proxy) -> None:
    proxy.freeze()
    client.sendall(b"later")
    client.settimeout(0.2)
    with pytest.raises(TimeoutError):
        client.recv(1024)

    proxy.thaw()

    client.settimeout(5)
    assert client.recv(1024) == b"later"


def test_half_open_lets_one_direction_through(client: socket.socket, proxy: Proxy) -> None:
    proxy.freeze_from_broker()
    client.sendall(b"one way")

    client.settimeout(0.2)
    with pytest.raises(TimeoutError):
        client.recv(1024)
    assert proxy.counts.from_client == len(b"hello" + b"one way")


def test_refused_connections_end_at_once_until_accepted_again(proxy: Proxy) -> None:
    address = (proxy.endpoint.host, proxy.endpoint.port)
    proxy.refuse()
    # The end may come as early as the beginning.
    with suppress(ConnectionResetError, BrokenPipeError), socket.create_connection(address, 5) as refused:
        assert _ended(refused)

    proxy.accept()

    with socket.create_connection(address, 5) as accepted:
        accepted.sendall(b"x")
        assert accepted.recv(1) == b"x"


def _ended(connection: socket.socket) -> bool:
    try:
        return connection.recv(1024) == b""
    except ConnectionResetError:
        return True

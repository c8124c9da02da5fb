"""Host names: looked up under a time limit, once at a time, and none of their addresses in the way of the next."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from stompconsole.errors import ConnectFailed
from stompconsole.transport import connect, resolving
from stompconsole.transport.resolving import RESOLVER, Address
from stompconsole.transport.session import Endpoint, Login, Place, Tls
from tests.support.waiting import until
from tests.transport.scripted import scripted_broker

HOST = "broker.test"


@pytest.fixture
def hanging(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """A name service that does not answer until the event is set."""
    answer = threading.Event()

    def look_up(host: str, port: int) -> list[Address]:
        assert answer.wait(30)
        raise socket.gaierror(-3, "Temporary failure in name resolution")

    monkeypatch.setattr(resolving, "_look_up", look_up)
    yield answer
    answer.set()
    until(lambda: not looking_up(), what="the look-up ends")


def looking_up() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == f"look up {HOST}"]


def test_a_name_service_that_does_not_answer_is_given_up_in_time(hanging: threading.Event) -> None:
    began = time.monotonic()
    with pytest.raises(ConnectFailed, match=r"broker\.test does not resolve: no answer in 0\.3 s.*STOMP_SERVER_HOST"):
        connect(Endpoint(host=HOST, port=61613), Login(), connect_timeout_s=0.3)
    assert time.monotonic() - began < 2


def test_a_name_that_hangs_costs_one_thread_however_often_it_is_tried(hanging: threading.Event) -> None:
    for _ in range(5):
        with pytest.raises(ConnectFailed):
            connect(Endpoint(host=HOST, port=61613), Login(), connect_timeout_s=0.05)
    (thread,) = looking_up()
    assert thread.daemon, "it must not keep the process from ending"


def test_a_name_is_looked_up_again_after_a_failure(hanging: threading.Event, monkeypatch: pytest.MonkeyPatch) -> None:
    hanging.set()
    with pytest.raises(ConnectFailed, match="Temporary failure"):
        connect(Endpoint(host=HOST, port=61613), Login(), connect_timeout_s=5)
    with scripted_broker() as broker:
        found = Address(family=socket.AF_INET, where=("127.0.0.1", broker.endpoint().port))
        monkeypatch.setattr(resolving, "_look_up", lambda host, port: [found])
        connect(Endpoint(host=HOST, port=1), Login(), connect_timeout_s=5).abort("seen")


def test_a_standby_that_does_not_resolve_names_its_own_setting() -> None:
    endpoint = Endpoint(host="no-such-host.invalid", port=61613, place=Place.STANDBY)
    with pytest.raises(ConnectFailed, match="STOMP_SERVER_STANDBY_HOST"):
        connect(endpoint, Login(), connect_timeout_s=2)


@pytest.mark.long
@pytest.mark.parametrize("tls", [None, Tls()])
def test_what_the_name_service_takes_is_part_of_the_one_limit(monkeypatch: pytest.MonkeyPatch, tls: Tls | None) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        found = [Address(family=socket.AF_INET, where=silent.getsockname())]

        def look_up(host: str, port: int) -> list[Address]:
            threading.Event().wait(0.8)
            return found

        monkeypatch.setattr(resolving, "_look_up", look_up)
        began = time.monotonic()
        with pytest.raises(ConnectFailed):
            connect(Endpoint(host=HOST, port=1, tls=tls), Login(), connect_timeout_s=1.0)
        assert time.monotonic() - began < 1.5


@pytest.mark.long
def test_the_handshake_has_all_that_is_left_and_not_the_share_of_its_address(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        found = [Address(family=socket.AF_INET, where=silent.getsockname())] * 4
        monkeypatch.setattr(resolving, "_look_up", lambda host, port: found)
        began = time.monotonic()
        with pytest.raises(ConnectFailed, match="switch TLS off"):
            connect(Endpoint(host=HOST, port=1, tls=Tls()), Login(), connect_timeout_s=1.0)
        assert time.monotonic() - began > 0.8


@pytest.mark.long
def test_an_address_that_does_not_answer_leaves_time_for_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    with scripted_broker() as broker, socket.socket() as full:
        port = broker.endpoint().port
        full.bind(("127.0.0.2", port))
        full.listen(0)
        addresses = [Address(family=socket.AF_INET, where=(host, port)) for host in ("127.0.0.2", "127.0.0.1")]
        monkeypatch.setattr(resolving, "_look_up", lambda host, port: addresses)
        # Its queue is full: the kernel leaves whoever comes next without an answer.
        waiting = [socket.socket() for _ in range(3)]
        for client in waiting:
            client.setblocking(False)
            client.connect_ex(("127.0.0.2", port))
        began = time.monotonic()
        connect(Endpoint(host=HOST, port=port), Login(), connect_timeout_s=2).abort("seen")
        assert 0.9 < time.monotonic() - began < 2, "it had to wait for the first"
        for client in waiting:
            client.close()


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_fork_looks_names_up_itself(hanging: threading.Event) -> None:
    with pytest.raises(ConnectFailed):
        connect(Endpoint(host=HOST, port=61613), Login(), connect_timeout_s=0.05)
    assert RESOLVER._under_way
    child = os.fork()
    if not child:
        os._exit(bool(RESOLVER._under_way))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0

"""TLS: verified or refused with the setting to change, told from a plain port, and never in anybody's way for ever."""

from __future__ import annotations

import socket
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from stompconsole.errors import ConnectFailed, SessionClosed
from stompconsole.transport import connect
from stompconsole.transport.frames import Frame
from stompconsole.transport.session import Endpoint, Login, Tls
from tests.support.authority import Authority
from tests.support.brokers import TestBroker
from tests.support.waiting import until
from tests.transport.scripted import scripted_broker, session_with
from tests.transport.test_session import ended, threads_of_stomp


def test_a_broker_is_verified_by_the_ca_file_and_talked_to(tmp_path: Path) -> None:
    ours = Authority(tmp_path)
    seen: list[Frame] = []
    with (
        scripted_broker(tls=ours.server_context()) as broker,
        session_with(broker, tls=ours.tls()) as (session, peer),
    ):
        subscribed = session.subscribe("s", "/queue/a", "auto", {}, seen.append)
        peer.confirm(peer.receipt_of(peer.read_frame()))
        subscribed.result(5)
        peer.message("s", b"x" * 200_000)
        until(lambda: [len(frame.body) for frame in seen] == [200_000], what="it arrives")
        leaving = threading.Thread(target=lambda: peer.confirm(peer.receipt_of(peer.read_frame())))
        leaving.start()
        assert session.disconnect(5)
        leaving.join(5)


def test_a_broker_of_another_authority_is_refused_and_the_setting_named(tmp_path: Path) -> None:
    ours, other = Authority(tmp_path), Authority(tmp_path, "other")
    with (
        scripted_broker(tls=other.server_context()) as broker,
        pytest.raises(ConnectFailed, match="DEFAULT_STOMP_CA_CERTS"),
    ):
        connect(broker.endpoint(ours.tls()), Login(), connect_timeout_s=5)


def test_a_certificate_for_another_host_is_refused(tmp_path: Path) -> None:
    ours = Authority(tmp_path)
    context = ours.server_context("127.0.0.9")
    with (
        scripted_broker(tls=context) as broker,
        pytest.raises(ConnectFailed, match=r'another host name: .*"host" \(STOMP_SERVER_HOST\)'),
    ):
        connect(broker.endpoint(ours.tls()), Login(), connect_timeout_s=5)


def test_any_certificate_is_taken_where_verification_is_off_and_that_is_warned_of_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    context = Authority(tmp_path).server_context()
    with scripted_broker(tls=context) as broker:
        for _ in range(3):
            with session_with(broker, tls=Tls(verify=False)) as (session, _):
                assert session.server == "scripted/1"
        warned = [record for record in caplog.records if "is not verified" in record.getMessage()]
        assert [record.levelname for record in warned] == ["WARNING"]
        assert str(broker.endpoint()) in warned[0].getMessage()


def test_nobody_is_warned_where_the_certificate_is_verified(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    ours = Authority(tmp_path)
    with scripted_broker(tls=ours.server_context()) as broker, session_with(broker, tls=ours.tls()):
        assert "not verified" not in caplog.text


def test_a_certificate_that_has_expired_is_said_to_be_the_brokers_affair(tmp_path: Path) -> None:
    ours = Authority(tmp_path)
    context = ours.server_context("127.0.0.1", not_after=datetime(2020, 1, 1, tzinfo=UTC))
    with scripted_broker(tls=context) as broker, pytest.raises(ConnectFailed, match="valid now"):
        connect(broker.endpoint(ours.tls()), Login(), connect_timeout_s=5)


@pytest.mark.parametrize(
    ("tls", "setting"),
    [
        (Tls(ca_certs="missing.pem"), "DEFAULT_STOMP_CA_CERTS"),
        (Tls(cert_file="missing.pem"), "DEFAULT_STOMP_CERT_FILE"),
    ],
)
def test_a_file_that_is_not_there_is_named_with_its_setting(tls: Tls, setting: str) -> None:
    with scripted_broker() as broker, pytest.raises(ConnectFailed, match=rf"missing\.pem.*{setting}"):
        connect(broker.endpoint(tls), Login(), connect_timeout_s=5)


def test_a_key_whose_password_is_missing_is_an_error_and_not_a_question_at_the_terminal(tmp_path: Path) -> None:
    signed = Authority(tmp_path).sign("client.test", key_password="secret")
    tls = Tls(cert_file=signed.cert_file, key_file=signed.key_file)
    with scripted_broker() as broker, pytest.raises(ConnectFailed, match="DEFAULT_STOMP_SSL_PASSWORD"):
        connect(broker.endpoint(tls), Login(), connect_timeout_s=5)


def test_plain_stomp_to_a_tls_port_is_told_in_time(tmp_path: Path) -> None:
    with scripted_broker(tls=Authority(tmp_path).server_context()) as broker:
        began = time.monotonic()
        with pytest.raises(ConnectFailed, match="plain or TLS as configured"):
            connect(broker.endpoint(), Login(), connect_timeout_s=5)
        assert time.monotonic() - began < 4


def test_tls_to_a_plain_port_is_named_as_such(any_broker: TestBroker) -> None:
    endpoint = Endpoint(host=any_broker.host, port=any_broker.port, tls=Tls())
    began = time.monotonic()
    with pytest.raises(ConnectFailed, match="switch TLS off"):
        connect(endpoint, Login(), connect_timeout_s=1)
    assert time.monotonic() - began < 4


def test_tls_to_a_port_that_says_nothing_is_given_up_in_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        endpoint = Endpoint(host="127.0.0.1", port=listener.getsockname()[1], tls=Tls())
        with pytest.raises(ConnectFailed, match="switch TLS off"):
            connect(endpoint, Login(), connect_timeout_s=0.5)


def test_the_end_of_a_tls_connection_is_noticed_at_once(tmp_path: Path) -> None:
    before = threads_of_stomp()
    context = Authority(tmp_path).server_context()
    with scripted_broker(tls=context) as broker, session_with(broker, tls=Tls(verify=False)) as (session, peer):
        peer.close()
        assert "was lost" in ended(session)
        until(lambda: not threads_of_stomp() - before, what="its thread ends")


def test_what_is_no_tls_record_ends_the_session(tmp_path: Path) -> None:
    # Without that it is read again and again: OpenSSL gives the same error each time, at once.
    before = threads_of_stomp()
    context = Authority(tmp_path).server_context()
    with scripted_broker(tls=context) as broker, session_with(broker, tls=Tls(verify=False)) as (session, peer):
        socket.socket.sendall(peer.sock, b"not a record of TLS at all")
        assert "was lost" in ended(session)
        until(lambda: not threads_of_stomp() - before, what="its thread ends")


def test_a_tls_broker_that_falls_silent_leaves_no_thread_behind(tmp_path: Path) -> None:
    before = threads_of_stomp()
    context = Authority(tmp_path).server_context()
    with (
        scripted_broker(tls=context, heart_beat="100,0") as broker,
        session_with(broker, tls=Tls(verify=False), heartbeat_s=(0.0, 0.1)) as (session, _),
    ):
        assert "silent" in ended(session)
        until(lambda: not threads_of_stomp() - before, what="its threads end")


def test_a_tls_broker_that_does_not_read_holds_nobody_up(tmp_path: Path) -> None:
    context = Authority(tmp_path).server_context()
    with scripted_broker(tls=context) as broker, session_with(broker, tls=Tls(verify=False)) as (session, _):
        written = threading.Event()

        def write() -> None:
            for _ in range(3_000):
                session.write(b"x" * 10_000)
            written.set()

        threading.Thread(target=write, daemon=True).start()
        assert written.wait(10), "writers must not wait for the broker"
        ending = threading.Thread(target=session.abort, args=("enough",), daemon=True)
        ending.start()
        ending.join(5)
        assert not ending.is_alive(), "nor whoever ends the session"
        with pytest.raises(SessionClosed):
            session.write(b"too late")


def test_frames_on_tls_keep_their_order(tmp_path: Path) -> None:
    context = Authority(tmp_path).server_context()
    with scripted_broker(tls=context) as broker, session_with(broker, tls=Tls(verify=False)) as (session, peer):
        for number in range(2_000):
            session.write(b"%d\0" % number)
        assert [int(peer.read_frame()) for _ in range(2_000)] == list(range(2_000))

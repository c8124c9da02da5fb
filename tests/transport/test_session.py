"""A session against a broker that says what a test wants: receipts, ERRORs, ends, and the time limits of each."""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future
from typing import NoReturn

import pytest

from stompconsole.errors import BrokerRefused, ConnectFailed, SessionClosed
from stompconsole.transport import StompSession, connect, frames
from stompconsole.transport.frames import Frame
from stompconsole.transport.session import Endpoint, Login
from tests.support.waiting import until
from tests.transport.scripted import Peer, scripted_broker, session_with

SEND = {"destination": "/queue/a"}


def sent(session: StompSession, peer: Peer, count: int) -> tuple[list[Future[None]], list[str]]:
    """So many SENDs that are not confirmed, and their receipts."""
    futures = [session.request("SEND", SEND, b"x") for _ in range(count)]
    return futures, [peer.receipt_of(peer.read_frame()) for _ in range(count)]


def ended(session: StompSession) -> str:
    return until(lambda: session.close_reason, 10, "the session ends") or ""


def threads_of_stomp() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if "_loop" in thread.name}


# Receipts and ERRORs


def test_receipts_are_matched_whatever_their_order() -> None:
    with scripted_broker() as broker, session_with(broker) as (session, peer):
        futures, receipts = sent(session, peer, 3)
        for number in (2, 0):
            peer.confirm(receipts[number])
            futures[number].result(5)
        assert not futures[1].done()
        peer.confirm("nobody asked for this one")
        peer.confirm(receipts[1])
        futures[1].result(5)


def test_an_error_with_a_receipt_id_refuses_that_frame_alone() -> None:
    with scripted_broker() as broker, session_with(broker) as (session, peer):
        futures, receipts = sent(session, peer, 2)
        peer.send(f"ERROR\nreceipt-id:{receipts[0]}\nmessage:no right\n\n\0".encode())
        with pytest.raises(BrokerRefused, match="no right"):
            futures[0].result(5)
        peer.confirm(receipts[1])
        futures[1].result(5)
        assert session.close_reason is None


def test_the_reason_that_comes_before_the_error_that_names_the_frame_is_told_with_it() -> None:
    # Artemis over its disk limit: the first names no frame, the second gives no reason.
    with scripted_broker() as broker, session_with(broker) as (session, peer):
        futures, receipts = sent(session, peer, 2)
        peer.send(b"ERROR\nmessage:the disk is full\n\n\0")
        peer.send(f"ERROR\nreceipt-id:{receipts[0]}\nmessage:error sending\n\n\0".encode())
        with pytest.raises(BrokerRefused, match="the disk is full; error sending"):
            futures[0].result(5)
        peer.close()
        with pytest.raises(SessionClosed, match="the disk is full"):
            futures[1].result(5)


@pytest.mark.parametrize(
    ("offered", "asked", "watched"), [("0,0", 1.0, False), ("1000,0", 1.0, True), ("1000,0", 0.0, False)]
)
def test_a_session_is_watched_if_the_broker_has_promised_the_heart_beats_we_asked_for(
    offered: str, asked: float, watched: bool
) -> None:
    with scripted_broker(heart_beat=offered) as broker, session_with(broker, heartbeat_s=(0.0, asked)) as (session, _):
        assert session.watched is watched


def test_an_error_for_a_frame_nobody_waits_for_refuses_no_other() -> None:
    with scripted_broker() as broker, session_with(broker) as (session, peer):
        (future,), (receipt,) = sent(session, peer, 1)
        peer.send(b"ERROR\nreceipt-id:of an earlier frame\nmessage:late\n\n\0")
        peer.confirm(receipt)
        future.result(5)


def test_an_error_that_names_no_frame_refuses_the_one_that_is_left_unconfirmed() -> None:
    # RabbitMQ: [SEND, bad SEND, SEND] -> [ERROR, RECEIPT 1, RECEIPT 3].
    with scripted_broker() as broker, session_with(broker) as (session, peer):
        futures, receipts = sent(session, peer, 3)
        peer.send(b"ERROR\nmessage:Processing error\n\n\0")
        until(lambda: session.last_error, what="it is read")
        later, (later_receipt,) = sent(session, peer, 1)
        peer.confirm(receipts[0])
        futures[0].result(5)
        assert not futures[1].done()
        assert not futures[2].done()
        peer.confirm(receipts[2])
        with pytest.raises(BrokerRefused, match="Processing error"):
            futures[1].result(5)
        futures[2].result(5)
        assert not later[0].done(), "what was written after the ERROR is not meant"
        peer.confirm(later_receipt)
        later[0].result(5)


def test_two_errors_that_name_no_frame_refuse_the_two_that_are_left() -> None:
    with scripted_broker() as broker, session_with(broker) as (session, peer):
        futures, receipts = sent(session, peer, 3)
        peer.send(b"ERROR\nmessage:first\n\n\0ERROR\nmessage:second\n\n\0")
        peer.confirm(receipts[1])
        for number in (0, 2):
            with pytest.raises(BrokerRefused, match="first; second"):
                futures[number].result(5)
        futures[1].result(5)


def test_an_error_without_anything_awaited_is_only_told(caplog: pytest.LogCaptureFixture) -> None:
    with scripted_broker() as broker, session_with(broker) as (session, peer):
        peer.send(b"ERROR\nmessage:bad ACK\n\n\0")
        until(lambda: "bad ACK" in caplog.text, what="it is logged")
        (future,), (receipt,) = sent(session, peer, 1)
        peer.confirm(receipt)
        future.result(5)


def test_an_error_that_ends_a_subscription_ends_the_session() -> None:
    # RabbitMQ, when a queue is deleted; the connection stays open, and nothing more would come on it.
    with scripted_broker() as broker, session_with(broker) as (session, peer):
        session.subscribe("s", "/queue/a", "auto", {}, lambda frame: None)
        peer.confirm(peer.receipt_of(peer.read_frame()))
        peer.send(b"ERROR\nmessage:Server cancelled subscription\nsubscription:s\n\n\0")
        assert "Server cancelled subscription" in ended(session)


def test_a_future_that_was_given_up_does_not_disturb_the_session() -> None:
    with scripted_broker() as broker, session_with(broker) as (session, peer):
        seen: list[Frame] = []
        session.subscribe("s", "/queue/a", "auto", {}, seen.append)
        peer.read_frame()
        (future,), (receipt,) = sent(session, peer, 1)
        assert not future.cancel(), "the broker may have carried it out"
        # In one write: stomp.py parses them together, an exception at the first would lose the second.
        peer.send(f"RECEIPT\nreceipt-id:{receipt}\n\n\0MESSAGE\nsubscription:s\n\nhi\0".encode())
        until(lambda: [frame.body for frame in seen] == [b"hi"], what="the message arrives")
        assert session.close_reason is None


def test_a_sink_that_fails_ends_the_session_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    def broken(_: Frame) -> NoReturn:
        raise KeyError("a bug of ours")

    with scripted_broker() as broker, session_with(broker) as (session, peer):
        session.subscribe("s", "/queue/a", "auto", {}, broken)
        peer.read_frame()
        peer.message("s", b"hi")
        assert "a bug of ours" in ended(session), "a message that nobody has must not stay un-acked in silence"
        assert "a bug of ours" in caplog.text


# How sessions end


def test_everybody_is_told_of_the_end_though_one_of_them_fails() -> None:
    told: list[str] = []
    with scripted_broker() as broker, session_with(broker) as (session, _):
        session.on_close(lambda _: told[1])  # type: ignore[arg-type,return-value]
        session.on_close(told.append)
        session.abort("enough")
        session.on_close(told.append)
    assert told == ["enough", "enough"]


def test_what_the_broker_said_before_it_closed_is_the_reason() -> None:
    with scripted_broker() as broker, session_with(broker) as (session, peer):
        peer.send(b"ERROR\nmessage:precondition_failed\n\nno such luck\0")
        peer.close()
        assert "precondition_failed: no such luck" in ended(session)


def test_a_write_that_fails_still_waits_for_what_the_broker_had_said() -> None:
    reading, go_on = threading.Event(), threading.Event()

    def slow(_: Frame) -> None:
        reading.set()
        assert go_on.wait(10)

    with scripted_broker() as broker, session_with(broker) as (session, peer):
        session.subscribe("s", "/queue/a", "auto", {}, slow)
        peer.read_frame()
        peer.message("s", b"hi")
        assert reading.wait(5)
        peer.send(b"ERROR\nmessage:precondition_failed\n\n\0")
        peer.reset()
        threading.Timer(0.2, go_on.set).start()
        with pytest.raises(SessionClosed, match="precondition_failed"):
            write_for_ever(session, b"\n")


def test_an_error_of_long_ago_is_not_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stompconsole.transport.stomp_session.LAST_WORDS_S", 0.0)
    with scripted_broker() as broker, session_with(broker) as (session, peer):
        peer.send(b"ERROR\nmessage:bad ACK\n\n\0")
        until(lambda: session.last_error, what="it is read")
        peer.close()
        assert "bad ACK" not in ended(session)


def test_a_frame_cut_by_a_nul_in_its_headers_ends_the_session_before_anybody_sees_it() -> None:
    # Not ours to settle: its ack header may have come before the NUL, its body has not.
    seen: list[Frame] = []
    with scripted_broker() as broker, session_with(broker) as (session, peer):
        session.subscribe("s", "/queue/a", "client-individual", {}, seen.append)
        peer.read_frame()
        peer.send(b"MESSAGE\nsubscription:s\nmessage-id:m7\nack:7\nx:a\0b\n\nbody\0")
        reason = ended(session)
    assert seen == []
    assert "m7" in reason
    assert "NUL" in reason


def test_what_is_no_frame_at_all_ends_the_session() -> None:
    with scripted_broker() as broker, session_with(broker) as (session, peer):
        peer.send(b"GARBAGE\n\n\0")
        assert "GARBAGE" in ended(session)


def test_a_frame_without_a_body_is_no_such_frame() -> None:
    seen: list[Frame] = []
    with scripted_broker() as broker, session_with(broker) as (session, peer):
        session.subscribe("s", "/queue/a", "auto", {}, seen.append)
        peer.read_frame()
        peer.message("s", b"")
        peer.send(b"MESSAGE\r\nsubscription:s\r\nmessage-id:m2\r\n\r\n\0")
        until(lambda: len(seen) == 2, what="both arrive")
        assert session.close_reason is None


def test_its_threads_end_with_it() -> None:
    before = threads_of_stomp()
    with (
        scripted_broker(heart_beat="1000,1000") as broker,
        session_with(broker, heartbeat_s=(1.0, 1.0)) as (session, _),
    ):
        until(lambda: len(threads_of_stomp() - before) == 2, what="the io and the heart-beat thread")
        session.abort("enough")
        until(lambda: not threads_of_stomp() - before, what="they end")


# Time limits


def test_a_broker_that_does_not_confirm_disconnect_is_left_in_time() -> None:
    with scripted_broker() as broker, session_with(broker) as (session, peer):
        began = time.monotonic()
        assert not session.disconnect(0.3)
        assert 0.3 <= time.monotonic() - began < 3
        assert peer.read_frame().startswith(b"DISCONNECT")
        assert session.close_reason == "disconnected"


@pytest.mark.long
def test_a_broker_that_does_not_read_is_left_in_time_too() -> None:
    with scripted_broker() as broker, session_with(broker, connect_timeout_s=30.0) as (session, _):
        writer = threading.Thread(target=write_until_it_fails, args=(session,), daemon=True)
        writer.start()
        until(lambda: stuck(session), 20, "the socket's buffers are full")
        began = time.monotonic()
        assert not session.disconnect(0.3)
        assert time.monotonic() - began < 3
        writer.join(5)
        assert not writer.is_alive(), "whoever was writing is let go"


@pytest.mark.long
def test_a_broker_that_does_not_read_ends_the_session_and_is_said_not_to() -> None:
    with scripted_broker() as broker, session_with(broker, connect_timeout_s=0.5) as (session, _):
        write_until_it_fails(session)
        assert "did not read" in ended(session)


def write_for_ever(session: StompSession, data: bytes) -> None:
    while True:
        session.write(data)


def write_until_it_fails(session: StompSession) -> None:
    with pytest.raises(SessionClosed):
        write_for_ever(session, b"x" * 1_000_000)


def stuck(session: StompSession) -> bool:
    """Whether somebody holds the writing for longer than a moment."""
    lock = session._transport._sending
    if lock.acquire(timeout=0.5):
        lock.release()
        return False
    return True


def test_a_broker_that_falls_silent_is_told_by_how_long_it_was() -> None:
    with scripted_broker(heart_beat="100,0") as broker, session_with(broker, heartbeat_s=(0.0, 0.1)) as (session, _):
        assert "silent" in ended(session)


@pytest.mark.long
def test_a_large_frame_that_arrives_slowly_is_a_sign_of_life() -> None:
    # Longer than the watch allows for silence, and no frame is whole in that time.
    seen: list[Frame] = []
    with scripted_broker(heart_beat="200,0") as broker, session_with(broker, heartbeat_s=(0.0, 0.2)) as (session, peer):
        session.subscribe("s", "/queue/a", "auto", {}, seen.append)
        peer.read_frame()
        peer.send(b"MESSAGE\nsubscription:s\ncontent-length:30\n\n")
        for _ in range(30):
            threading.Event().wait(0.05)
            peer.send(b"x")
        peer.send(b"\0")
        until(lambda: seen or session.close_reason, what="it arrives")
        assert session.close_reason is None


def test_a_connection_cut_without_heart_beats_is_not_called_silent() -> None:
    with scripted_broker(heart_beat="0,0") as broker, session_with(broker, heartbeat_s=(0.0, 0.05)) as (session, peer):
        threading.Event().wait(0.2)
        peer.close()
        assert "was lost" in ended(session)


@pytest.mark.parametrize("host", ["a..b", "x" * 80, "a\0b"])
def test_a_host_name_that_can_not_be_is_a_failed_connect(host: str) -> None:
    with pytest.raises(ConnectFailed, match="can't reach"):
        connect(Endpoint(host=host, port=1), Login())


def test_a_port_that_can_not_be_is_a_failed_connect() -> None:
    with pytest.raises(ConnectFailed, match="can't reach"):
        connect(Endpoint(host="127.0.0.1", port=99_999), Login())


@pytest.mark.parametrize("nul", [b"", b"\0"])
def test_a_body_of_50_mb_is_read_in_seconds(nul: bytes) -> None:
    seen: list[Frame] = []
    body = b"0123456789abcdef" * 3_200_000 + nul * 50
    with scripted_broker() as broker, session_with(broker) as (session, peer):
        session.subscribe("s", "/queue/a", "auto", {}, seen.append)
        peer.read_frame()
        began = time.monotonic()
        peer.message("s", body)
        until(lambda: seen, 30, "it arrives")
        assert time.monotonic() - began < 10
        assert seen[0].body == body


@pytest.mark.long
def test_frames_of_several_threads_are_not_mixed() -> None:
    with scripted_broker() as broker, session_with(broker) as (session, peer):

        def write(letter: bytes) -> None:
            for _ in range(20):
                session.write(letter * 500_000 + b"\0")

        threads = [threading.Thread(target=write, args=(letter,)) for letter in (b"a", b"b", b"c")]
        for thread in threads:
            thread.start()
        seen = [peer.read_frame() for _ in range(60)]
        for thread in threads:
            thread.join(10)
    assert {(len(frame), len(set(frame))) for frame in seen} == {(500_000, 1)}


def test_encoded_acks_go_out_as_they_are() -> None:
    with scripted_broker() as broker, session_with(broker) as (session, peer):
        session.write(frames.ack("1") + frames.ack("2"))
        assert [peer.read_frame(), peer.read_frame()] == [b"ACK\nid:1\n\n", b"ACK\nid:2\n\n"]

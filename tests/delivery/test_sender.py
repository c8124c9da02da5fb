"""The sending session: every future is finished, in time, whatever becomes of the broker, the message or us."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager

import pytest

from stompconsole.delivery import names
from stompconsole.delivery.sender import Sender
from stompconsole.delivery.specs import BrokerSpec
from stompconsole.devbroker.refusals import AfterError
from stompconsole.errors import BrokerRefused, ConnectFailed, ReceiptTimeout, SessionClosed
from stompconsole.transport.session import Endpoint
from stompconsole.transport.stomp_session import StompSession
from tests.delivery.running import take_all
from tests.delivery.test_runner import declare_as_django_stomp_did
from tests.support.brokers import TestBroker
from tests.support.devbroker import RunningDevBroker, running_devbroker
from tests.support.management import Management
from tests.support.waiting import until
from tests.transport.scripted import scripted_broker

CLASH = "PRECONDITION_FAILED - inequivalent arg 'x-dead-letter-exchange' for queue 'a' in vhost '/'"


@pytest.fixture
def broker() -> Iterator[RunningDevBroker]:
    with running_devbroker() as running:
        yield running


def spec(endpoint: Endpoint, **fields: object) -> BrokerSpec:
    limits = {"connect_timeout_s": 2.0, "receipt_timeout_s": 1.0}
    return BrokerSpec(name="tested", endpoints=(endpoint,), **{**limits, **fields})  # type: ignore[arg-type]


def to(broker: RunningDevBroker, **fields: object) -> BrokerSpec:
    return spec(Endpoint(host=broker.host, port=broker.port), **fields)


@contextmanager
def sender_of(broker: BrokerSpec) -> Iterator[Sender]:
    sender = Sender(broker)
    try:
        yield sender
    finally:
        sender.close(2.0)


def senders_left() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name == "tested sender"]


def test_what_is_confirmed_is_there(broker: RunningDevBroker) -> None:
    with sender_of(to(broker, receipt_timeout_s=10.0)) as sender:
        for future in [sender.send("/queue/a", {}, b"%d" % number) for number in range(500)]:
            future.result(10)
    assert broker.bodies("/queue/a") == [b"%d" % number for number in range(500)]
    assert senders_left() == []


def test_what_is_queued_meanwhile_is_written_in_one_go_and_in_order(
    broker: RunningDevBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    writes: list[int] = []
    writing, release, write = threading.Event(), threading.Event(), StompSession.write

    def slow(session: StompSession, data: bytes) -> None:
        writes.append(data.count(b"SEND\n"))
        writing.set()
        assert release.wait(10)
        write(session, data)

    with sender_of(to(broker, receipt_timeout_s=10.0)) as sender:
        sender.send("/queue/a", {}, b"0").result(10)
        monkeypatch.setattr(StompSession, "write", slow)
        first = sender.send("/queue/a", {}, b"1")
        assert writing.wait(10), "one that comes alone is written at once"
        others = [sender.send("/queue/a", {}, b"%d" % number) for number in range(2, 200)]
        release.set()
        for future in [first, *others]:
            future.result(10)
    assert writes[:2] == [1, 198]
    assert broker.bodies("/queue/a") == [b"%d" % number for number in range(200)]


def test_a_message_that_can_not_be_written_fails_alone(broker: RunningDevBroker) -> None:
    with sender_of(to(broker)) as sender:
        bad = sender.send("/queue/a", {"number": 7}, b"a")  # type: ignore[dict-item]
        good = sender.send("/queue/a", {}, b"b")
        with pytest.raises(TypeError):
            bad.result(5)
        good.result(5)


def test_what_was_handed_over_can_not_be_cancelled(broker: RunningDevBroker) -> None:
    with sender_of(to(broker)) as sender:
        future = sender.send("/queue/a", {}, b"a")
        assert not future.cancel()
        future.result(5)


@pytest.mark.long
def test_a_broker_that_does_not_confirm_is_told_as_such_in_time(broker: RunningDevBroker) -> None:
    with sender_of(to(broker)) as sender:
        broker.faults.block_sends()
        began = time.monotonic()
        futures = [sender.send("/queue/a", {}, b"a") for _ in range(3)]
        for future in futures:
            with pytest.raises(ReceiptTimeout, match="blocked or full"):
                future.result(5)
        assert time.monotonic() - began < 4
        broker.faults.clear()
        sender.send("/queue/a", {}, b"b").result(5)


def test_one_bad_message_among_many_is_refused_alone_and_at_once(rabbitmq: TestBroker, destination: str) -> None:
    # RabbitMQ's ERROR does not say which one it means.
    with sender_of(rabbitmq.broker_spec(receipt_timeout_s=30.0)) as sender:
        good = [sender.send(destination, {"persistent": "true"}, b"good") for _ in range(20)]
        bad = sender.send(destination, {"priority": "abc"}, b"bad")
        good += [sender.send(destination, {"persistent": "true"}, b"good") for _ in range(20)]
        with pytest.raises(BrokerRefused):
            bad.result(10)
        for future in good:
            future.result(10)


def test_while_nobody_can_be_connected_to_every_message_fails_with_the_reason() -> None:
    with sender_of(spec(Endpoint(host="127.0.0.1", port=1))) as sender:
        for future in [sender.send("/queue/a", {}, b"a") for _ in range(100)]:
            with pytest.raises(ConnectFailed, match="can't reach"):
                future.result(5)


def test_a_queue_of_other_properties_is_sent_to_by_its_other_name(rabbitmq: TestBroker, destination: str) -> None:
    declare_as_django_stomp_did(rabbitmq, destination.removeprefix("/queue/"))
    broker = rabbitmq.broker_spec()
    with sender_of(broker) as sender:
        # The first clashes, and takes those behind it along; each is sent again.
        for future in [sender.send(destination, {"persistent": "true"}, b"%d" % number) for number in range(50)]:
            future.result(10)
    name = destination.removeprefix("/queue/")
    assert set(take_all(broker, f"/amq/queue/{name}", 50)) == set(range(50))


def test_a_queue_of_other_properties_that_was_deleted_is_declared_again_and_nothing_dropped(
    rabbitmq: TestBroker, destination: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(names, "RESPELT_FOR_S", 0.2)
    name = destination.removeprefix("/queue/")
    declare_as_django_stomp_did(rabbitmq, name)
    broker = rabbitmq.broker_spec()
    with sender_of(broker) as sender:
        sender.send(destination, {"persistent": "true"}, b"1").result(10)
        threading.Event().wait(0.3)
        # The queue is there still: found out at the cost of a session, and of nothing else.
        for future in [sender.send(destination, {"persistent": "true"}, b"2") for _ in range(10)]:
            future.result(10)
        assert take_all(broker, f"/amq/queue/{name}", 11)
        with Management(rabbitmq) as management:
            management.delete(name)
        threading.Event().wait(0.3)
        sender.send(destination, {"persistent": "true"}, b"3").result(10)
    assert take_all(broker, destination, 1) == [3]


def test_the_close_ends_with_the_last_receipt(broker: RunningDevBroker) -> None:
    sender = Sender(to(broker, receipt_timeout_s=20.0))
    broker.faults.block_sends()
    future = sender.send("/queue/a", {}, b"a")
    until(lambda: broker.connections() == 1 and sender._awaited, what="it is on its way")
    closing = threading.Thread(target=sender.close, args=(10.0,))
    closing.start()
    closing.join(0.3)
    assert closing.is_alive(), "it waits for the receipt"
    broker.faults.clear()
    closing.join(3)
    assert not closing.is_alive()
    future.result(0)


@pytest.mark.long
@pytest.mark.parametrize("fault", ["none", "clash", "blocked", "down"])
def test_whatever_is_sent_around_the_close_is_finished(broker: RunningDevBroker, fault: str) -> None:
    if fault == "clash":
        broker.faults.refuse_sends(CLASH, "/queue/a", AfterError.CLOSE)
    if fault == "blocked":
        broker.faults.block_sends()
    sender = Sender(to(broker, kind="rabbitmq", receipt_timeout_s=0.5))
    futures: list[Future[None]] = []
    stop = threading.Event()

    def send() -> None:
        while not stop.is_set():
            futures.append(sender.send("/queue/a", {}, b"a"))
            stop.wait(0.0005)

    threads = [threading.Thread(target=send) for _ in range(3)]
    for thread in threads:
        thread.start()
    until(lambda: len(futures) > 50, what="it is in full swing")
    if fault == "down":
        broker.stop()
    sender.close(2.0)
    stop.set()
    for thread in threads:
        thread.join(5)
    until(lambda: all(future.done() for future in futures), 5, "each is confirmed or has failed")
    until(lambda: not senders_left(), 5, "its thread has ended")


def test_after_the_close_a_message_fails_at_once(broker: RunningDevBroker) -> None:
    sender = Sender(to(broker))
    sender.close(1.0)
    with pytest.raises(SessionClosed, match="closed"):
        sender.send("/queue/a", {}, b"a").result(0)
    with pytest.raises(ConnectFailed, match="closed"):
        sender.dialect()


def test_the_close_waits_for_what_is_queued(broker: RunningDevBroker) -> None:
    sender = Sender(to(broker))
    futures = [sender.send("/queue/a", {}, b"a") for _ in range(200)]
    sender.close(10.0)
    assert all(future.done() and future.exception() is None for future in futures)
    until(lambda: broker.connections() == 0, what="the connection is closed")


def test_the_close_does_not_wait_for_a_connect_and_leaves_no_session_behind() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        sender = Sender(spec(Endpoint(host="127.0.0.1", port=listener.getsockname()[1]), connect_timeout_s=10.0))
        future = sender.send("/queue/a", {}, b"a")
        client, _ = listener.accept()
        with client:
            client.settimeout(10)
            began = time.monotonic()
            sender.close(0.2)
            assert time.monotonic() - began < 2
            client.sendall(b"CONNECTED\nversion:1.2\n\n\0")
            with pytest.raises(ConnectFailed, match="closed"):
                future.result(5)
            while client.recv(65_536):
                pass
        until(lambda: not senders_left(), 5, "its thread has ended")


@pytest.mark.long
def test_a_broker_that_reads_nothing_ends_the_session_and_not_the_sender() -> None:
    with scripted_broker() as broker, sender_of(spec(broker.endpoint(), connect_timeout_s=0.3)) as sender:
        for future in [sender.send("/queue/a", {}, b"x" * 8_000_000) for _ in range(2)]:
            with pytest.raises(SessionClosed, match="did not read"):
                future.result(10)
        again = sender.send("/queue/a", {}, b"a")
        peer = [broker.peer() for _ in range(3)][-1]
        peer.confirm(peer.receipt_of(peer.read_frame()))
        again.result(5)

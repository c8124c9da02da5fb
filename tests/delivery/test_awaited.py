"""Receipts that are late: waited for on their own session, told once, and what is held back until they come."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager

import pytest

from stompconsole.delivery import awaited as awaited_module
from stompconsole.delivery.sender import Sender
from stompconsole.delivery.specs import BrokerSpec
from stompconsole.errors import BrokerBlocked, ReceiptTimeout
from stompconsole.transport.session import Endpoint
from tests.support.devbroker import RunningDevBroker, running_devbroker
from tests.support.waiting import until

LIMIT_S = 0.5


@pytest.fixture
def broker() -> Iterator[RunningDevBroker]:
    with running_devbroker() as running:
        yield running


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A silence is noticed before the limit of these tests."""
    monkeypatch.setattr(awaited_module, "SILENT_AFTER_S", 0.1)


@contextmanager
def sender_to(broker: RunningDevBroker, **fields: object) -> Iterator[Sender]:
    limits = {"connect_timeout_s": 2.0, "receipt_timeout_s": LIMIT_S, **fields}
    sender = Sender(
        BrokerSpec(name="tested", endpoints=(Endpoint(host=broker.host, port=broker.port),), **limits)  # type: ignore[arg-type]
    )
    try:
        yield sender
    finally:
        sender.close(2.0)


def late(future: Future[None]) -> Future[None]:
    """What becomes of a SEND whose receipt did not come in time."""
    with pytest.raises(ReceiptTimeout, match="does not confirm") as caught:
        future.result(5)
    assert caught.value.outcome is not None
    return caught.value.outcome


def test_a_late_receipt_is_waited_for_and_the_message_is_there_once(broker: RunningDevBroker) -> None:
    with sender_to(broker) as sender:
        broker.faults.block_sends()
        outcome = late(sender.send("/queue/a", {}, b"a"))
        assert not outcome.done()
        broker.faults.unblock_sends()
        outcome.result(5)
    assert broker.bodies("/queue/a") == [b"a"]


@pytest.mark.long
@pytest.mark.usefixtures("quick")
def test_during_a_silence_nothing_more_is_written_and_what_is_told_so_is_not_there(broker: RunningDevBroker) -> None:
    with sender_to(broker) as sender:
        broker.faults.block_sends()
        first = sender.send("/queue/a", {}, b"first")
        threading.Event().wait(0.2)
        second = sender.send("/queue/a", {}, b"second")
        outcome = late(first)
        with pytest.raises(BrokerBlocked, match="not sent"):
            second.result(5)
        broker.faults.unblock_sends()
        outcome.result(5)
        sender.send("/queue/a", {}, b"third").result(5)
    assert broker.bodies("/queue/a") == [b"first", b"third"]


@pytest.mark.usefixtures("quick")
def test_what_was_held_back_is_sent_in_order_as_soon_as_a_receipt_comes(broker: RunningDevBroker) -> None:
    with sender_to(broker, receipt_timeout_s=30.0) as sender:
        broker.faults.block_sends()
        first = sender.send("/queue/a", {}, b"0")
        threading.Event().wait(0.2)
        others = [sender.send("/queue/a", {}, b"%d" % number) for number in range(1, 50)]
        threading.Event().wait(0.2)
        began = time.monotonic()
        broker.faults.unblock_sends()
        for future in (first, *others):
            future.result(5)
        assert time.monotonic() - began < 3
    assert broker.bodies("/queue/a") == [b"%d" % number for number in range(50)]


@pytest.mark.long
def test_a_connection_that_is_blocked_over_one_queue_holds_up_that_queue_alone(broker: RunningDevBroker) -> None:
    with sender_to(broker) as sender:
        broker.faults.block_sends("/queue/full")
        outcome = late(sender.send("/queue/full", {}, b"a"))
        for _ in range(3):
            sender.send("/queue/b", {}, b"b").result(5)
        with pytest.raises(BrokerBlocked):
            sender.send("/queue/full", {}, b"again").result(5)
        assert broker.connections() == 2
        broker.faults.unblock_sends()
        outcome.result(5)
        until(lambda: broker.connections() == 1, what="the session that was waited for is closed")
        sender.send("/queue/full", {}, b"again").result(5)
    assert broker.bodies("/queue/full") == [b"a", b"again"]


@pytest.mark.long
def test_with_many_queues_stuck_no_more_sessions_are_opened(
    broker: RunningDevBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(awaited_module, "MAX_SET_ASIDE", 2)
    with sender_to(broker) as sender:
        broker.faults.block_sends()
        outcomes = [late(sender.send(f"/queue/{number}", {}, b"a")) for number in range(2)]
        with pytest.raises(BrokerBlocked):
            sender.send("/queue/2", {}, b"a").result(5)
        assert broker.connections() == 2
        broker.faults.unblock_sends()
        for outcome in outcomes:
            outcome.result(5)
        sender.send("/queue/2", {}, b"a").result(5)


def test_what_is_waited_for_fails_with_its_session(broker: RunningDevBroker) -> None:
    with sender_to(broker) as sender:
        broker.faults.block_sends()
        outcome = late(sender.send("/queue/a", {}, b"a"))
        broker.faults.cut_connections()
        assert outcome.exception(5) is not None


@pytest.mark.long
def test_nothing_is_waited_for_without_a_limit(broker: RunningDevBroker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(awaited_module, "GIVE_UP_AFTER_S", 1.0)
    with sender_to(broker) as sender:
        broker.faults.block_sends()
        outcome = late(sender.send("/queue/a", {}, b"a"))
        with pytest.raises(ReceiptTimeout, match="no RECEIPT in 1 s") as caught:
            outcome.result(5)
        assert caught.value.outcome is None


def test_without_heart_beats_a_late_receipt_ends_the_session(broker: RunningDevBroker) -> None:
    with sender_to(broker, heartbeat_receive_s=0.0) as sender:
        broker.faults.block_sends()
        with pytest.raises(ReceiptTimeout) as caught:
            sender.send("/queue/a", {}, b"a").result(5)
        assert caught.value.outcome is None
        assert not sender.is_open


@pytest.mark.long
def test_the_close_ends_what_is_waited_for_in_time(broker: RunningDevBroker) -> None:
    with sender_to(broker) as sender:
        broker.faults.block_sends()
        outcome = late(sender.send("/queue/a", {}, b"a"))
        began = time.monotonic()
        sender.close(0.5)
        assert time.monotonic() - began < 2
        assert outcome.exception(5) is not None
        assert not sender.is_open

"""A sender goes to the standby and returns between two sends, and keeps no session that it has no use for."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager

import pytest

from stompconsole.delivery import sending
from stompconsole.delivery.sender import Sender
from stompconsole.delivery.specs import BrokerSpec, Failback
from tests.delivery.running import take_all
from tests.failover.pair import Pair, pair_before, watches
from tests.support.brokers import TestBroker
from tests.support.devbroker import RunningDevBroker
from tests.support.waiting import until


@contextmanager
def sender_of(broker: BrokerSpec) -> Iterator[Sender]:
    sender = Sender(broker)
    try:
        yield sender
    finally:
        sender.close(2.0)


@pytest.fixture
def pair(devbroker: TestBroker) -> Iterator[Pair]:
    with pair_before(devbroker) as doors:
        yield doors
    until(lambda: not watches(), what="no watch is left behind")


def at(sender: Sender) -> str:
    session = sender._session.now
    return str(session.endpoint) if session is not None and session.close_reason is None else ""


def running(pair: Pair) -> RunningDevBroker:
    return pair.broker.rig.running  # type: ignore[attr-defined,no-any-return]


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.endswith(" sender")]


def test_under_load_it_returns_and_every_message_is_sent_once(any_broker: TestBroker, destination: str) -> None:
    with pair_before(any_broker) as pair, sender_of(pair.spec()) as sender:
        pair.primary.refuse()
        headers = sender.dialect().send_headers(destination)
        sent: list[Future[None]] = [sender.send(destination, headers, b"0")]
        sent[0].result(10)
        assert at(sender) == pair.at_standby
        pair.primary.accept()

        def one_more() -> bool:
            sent.append(sender.send(destination, headers, str(len(sent)).encode()))
            return at(sender) == pair.at_primary

        until(one_more, 20, "it is on the primary again")
        sent += [sender.send(destination, headers, str(number).encode()) for number in range(len(sent), 600)]
        for future in sent:
            future.result(10)
        assert pair.told() == [pair.at_standby, pair.at_primary]
    count = len(sent)
    assert sorted(take_all(any_broker.broker_spec(), destination, count)) == list(range(count))


def test_it_stays_where_it_is_if_that_is_the_policy(pair: Pair) -> None:
    with sender_of(pair.spec(Failback.STAY)) as sender:
        pair.primary.refuse()
        sender.send("/queue/a", {}, b"a").result(10)
        pair.primary.accept()
        sender.send("/queue/a", {}, b"b").result(10)
        assert at(sender) == pair.at_standby
        assert watches() == []


def test_it_does_not_leave_what_is_not_confirmed_yet(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending, "LEAVE_LIMIT_S", 0.1)
    with sender_of(pair.spec(receipt_timeout_s=30.0)) as sender:
        pair.primary.refuse()
        sender.send("/queue/a", {}, b"a").result(10)
        running(pair).faults.block_sends()
        awaited = sender.send("/queue/a", {}, b"b")
        pair.primary.accept()
        until(lambda: sender._session.is_called_back, what="it could return")
        behind = sender.send("/queue/other", {}, b"c")
        threading.Event().wait(0.3)
        assert at(sender) == pair.at_standby
        assert not behind.done(), "nor is anything begun there that would keep it"
        running(pair).faults.clear()
        awaited.result(10)
        behind.result(10)
        until(lambda: at(sender) == pair.at_primary, what="now it has returned")
    assert [len(running(pair).bodies(queue)) for queue in ("/queue/a", "/queue/other")] == [2, 1]


def test_an_idle_one_returns_without_being_asked_to_send(pair: Pair) -> None:
    with sender_of(pair.spec()) as sender:
        pair.primary.refuse()
        sender.send("/queue/a", {}, b"a").result(10)
        pair.primary.accept()
        until(lambda: at(sender) == "", what="it has left the standby")
        sender.send("/queue/a", {}, b"b").result(10)
        assert at(sender) == pair.at_primary


@pytest.mark.long
def test_a_session_nobody_sends_over_is_closed_and_opened_when_it_is_needed(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending, "IDLE_S", 0.3)
    with sender_of(pair.spec()) as sender:
        for body in (b"a", b"b"):
            sender.send("/queue/a", {}, body).result(10)
            until(lambda: running(pair).connections() == 0, what="it is closed")
            until(lambda: threads() == [], what="its thread has ended")
    assert running(pair).bodies("/queue/a") == [b"a", b"b"]


@pytest.mark.long
def test_a_session_in_use_is_not_idle(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending, "IDLE_S", 0.4)
    with sender_of(pair.spec()) as sender:
        for _ in range(8):
            sender.send("/queue/a", {}, b"a").result(10)
            threading.Event().wait(0.1)
        assert pair.primary.connections == 1


@pytest.mark.long
def test_what_is_not_confirmed_yet_is_no_idleness(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending, "IDLE_S", 0.2)
    with sender_of(pair.spec(receipt_timeout_s=30.0)) as sender:
        running(pair).faults.block_sends()
        awaited = sender.send("/queue/a", {}, b"a")
        threading.Event().wait(0.6)
        running(pair).faults.clear()
        awaited.result(10)
        assert pair.primary.connections == 1


@pytest.mark.long
def test_a_session_that_was_opened_only_to_ask_who_the_broker_is_is_closed_as_well(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending, "IDLE_S", 0.3)
    with sender_of(pair.spec()) as sender:
        for _ in range(2):
            sender.dialect()
            assert running(pair).connections() == 1
            until(lambda: running(pair).connections() == 0, what="it is closed")
            until(lambda: threads() == [], what="its thread has ended")


def test_a_watch_does_not_outlive_the_idle_session(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending, "IDLE_S", 0.3)
    with sender_of(pair.spec(failback_check_s=60.0)) as sender:
        pair.primary.refuse()
        sender.send("/queue/a", {}, b"a").result(10)
        assert len(watches()) == 1
        until(lambda: watches() == [], what="nobody is on the standby any more")


@pytest.mark.parametrize("late", ["send", "dialect"])
def test_what_comes_while_it_goes_to_rest_is_not_left_lying(
    pair: Pair, monkeypatch: pytest.MonkeyPatch, late: str
) -> None:
    monkeypatch.setattr(sending, "IDLE_S", 0.1)
    with sender_of(pair.spec()) as sender:
        leave = sender._session.leave
        asks = {"send": lambda: sender.send("/queue/a", {}, b"late"), "dialect": sender.dialect}
        asked: list[object] = []

        def leave_and_be_asked() -> None:
            leave()
            if not asked:
                asked.append(asks[late]())

        monkeypatch.setattr(sender._session, "leave", leave_and_be_asked)
        sender.send("/queue/a", {}, b"a").result(10)
        until(lambda: asked, what="it is asked in the moment in which it leaves")
        until(lambda: threads() == [] and running(pair).connections() == 0, what="it goes to rest after that")
        assert len(running(pair).bodies("/queue/a")) == (2 if late == "send" else 1)


@pytest.mark.long
def test_many_threads_send_around_the_moment_in_which_it_goes_to_rest(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending, "IDLE_S", 0.005)
    sent: list[Future[None]] = []
    with sender_of(pair.spec()) as sender:

        def send(pause_s: float) -> None:
            for _ in range(40):
                sender.dialect()
                sent.append(sender.send("/queue/a", {}, b"a"))
                threading.Event().wait(pause_s)

        senders = [threading.Thread(target=send, args=(0.004 + number / 500,)) for number in range(4)]
        for thread in senders:
            thread.start()
        for thread in senders:
            thread.join(30)
        for future in sent:
            future.result(10)
        until(lambda: threads() == [], what="its thread has ended")
    assert len(running(pair).bodies("/queue/a")) == len(sent) == 160

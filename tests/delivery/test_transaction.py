"""SENDs in one transaction: all of them are stored or none, and what became of them is never told wrongly."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager

import pytest

from stompconsole.brokers import BrokerKind
from stompconsole.brokers.dialect import PERSISTENT
from stompconsole.delivery import awaited
from stompconsole.delivery.jobs import Message
from stompconsole.delivery.sender import Sender
from stompconsole.delivery.specs import BrokerSpec
from stompconsole.devbroker.refusals import AfterError
from stompconsole.errors import BrokerBlocked, BrokerRefused, ReceiptTimeout, RolledBack, SessionClosed
from stompconsole.transport.session import Endpoint
from tests.delivery.running import running, take_all
from tests.delivery.test_depths import figures, read
from tests.support.brokers import TestBroker
from tests.support.devbroker import RunningDevBroker, running_devbroker
from tests.support.waiting import until
from tests.transport.scripted import Peer, scripted_broker


@pytest.fixture
def broker() -> Iterator[RunningDevBroker]:
    with running_devbroker() as running:
        yield running


@contextmanager
def sender_to(endpoint: Endpoint, **fields: object) -> Iterator[Sender]:
    given = {"kind": BrokerKind.ACTIVEMQ, "connect_timeout_s": 2.0, "receipt_timeout_s": 1.0, **fields}
    sender = Sender(BrokerSpec(name="tested", endpoints=(endpoint,), **given))  # type: ignore[arg-type]
    try:
        sender.dialect()
        yield sender
    finally:
        sender.close(2.0)


def at(broker: RunningDevBroker) -> Endpoint:
    return Endpoint(host=broker.host, port=broker.port)


@contextmanager
def told_by_hand() -> Iterator[tuple[Sender, Peer]]:
    """A sender whose broker says what the test has it say."""
    with scripted_broker() as broker, sender_to(broker.endpoint(), receipt_timeout_s=20.0) as sender:
        peer = broker.peer()
        yield sender, peer
        peer.close()


def messages(count: int, destination: str = "/queue/a") -> list[Message]:
    return [Message(destination, {"n": str(number)}, b"%d" % number) for number in range(count)]


def read_sends(peer: Peer, count: int, name: str = "t1") -> str:
    """Up to the last SEND of a transaction; its receipt."""
    assert peer.read_frame() == f"BEGIN\ntransaction:{name}\n\n".encode()
    *most, last = [peer.read_frame() for _ in range(count)]
    assert all(f"transaction:{name}\n".encode() in frame for frame in (*most, last))
    assert not any(b"receipt:" in frame for frame in most), "the disk would be waited for"
    return peer.receipt_of(last)


def read_commit(peer: Peer, name: str = "t1") -> str:
    frame = peer.read_frame()
    assert frame.startswith(f"COMMIT\ntransaction:{name}\n".encode()), frame
    return peer.receipt_of(frame)


def up_to_commit(sender: Sender, peer: Peer) -> tuple[Future[None], str]:
    """What becomes of two messages whose COMMIT is written, and the receipt of that."""
    future = sender.send_together(messages(2))
    peer.confirm(read_sends(peer, 2))
    return future, read_commit(peer)


def refuse(peer: Peer, receipt: str = "", why: str = "not that one") -> None:
    named = f"receipt-id:{receipt}\n" if receipt else ""
    peer.send(f"ERROR\n{named}message:{why}\n\n\0".encode())


def failure(future: Future[None]) -> BaseException:
    error = future.exception(10)
    assert error is not None
    return error


def test_it_is_committed_once_the_broker_has_the_last_and_done_once_that_is_confirmed() -> None:
    with told_by_hand() as (sender, peer):
        future = sender.send_together(messages(3))
        last = read_sends(peer, 3)
        peer.sock.settimeout(0.2)
        with pytest.raises(TimeoutError):
            peer.read_frame()
        peer.sock.settimeout(10.0)
        peer.confirm(last)
        commit = read_commit(peer)
        assert not future.done(), "what is taken is not stored"
        peer.confirm(commit)
        future.result(10)


def test_after_an_error_that_names_no_frame_it_is_aborted_and_nothing_was_sent() -> None:
    with told_by_hand() as (sender, peer):
        future = sender.send_together(messages(3))
        last = read_sends(peer, 3)
        refuse(peer)
        peer.confirm(last)
        assert peer.read_frame() == b"ABORT\ntransaction:t1\n\n"
        assert type(failure(future)) is BrokerRefused


def test_if_the_last_is_refused_it_is_aborted() -> None:
    with told_by_hand() as (sender, peer):
        future = sender.send_together(messages(3))
        refuse(peer, read_sends(peer, 3))
        assert peer.read_frame() == b"ABORT\ntransaction:t1\n\n"
        assert type(failure(future)) is BrokerRefused


def test_the_next_is_written_behind_the_commit_and_not_before() -> None:
    # What is stuck in the next one would keep the broker from the COMMIT of this one.
    with told_by_hand() as (sender, peer):
        futures = [
            sender.send_together(messages(2)),
            sender.send_together(messages(2)),
            sender.send("/queue/b", {}, b""),
        ]
        last = read_sends(peer, 2)
        peer.sock.settimeout(0.3)
        with pytest.raises(TimeoutError):
            peer.read_frame()
        peer.sock.settimeout(10.0)
        peer.confirm(last)
        peer.confirm(read_commit(peer))
        peer.confirm(read_sends(peer, 2, "t2"))
        peer.confirm(read_commit(peer, "t2"))
        peer.confirm(peer.receipt_of(peer.read_frame()))
        assert [future.exception(10) for future in futures] == [None] * 3


def test_an_error_on_account_of_one_is_taken_for_each_that_is_on_its_way() -> None:
    with told_by_hand() as (sender, peer):
        futures = [sender.send_together(messages(2)), sender.send_together(messages(2))]
        peer.confirm(read_sends(peer, 2))
        first, second = read_commit(peer), read_sends(peer, 2, "t2")
        refuse(peer)
        refuse(peer, first)
        peer.confirm(second)
        assert peer.read_frame() == b"ABORT\ntransaction:t2\n\n"
        assert [type(failure(future)) for future in futures] == [BrokerRefused, BrokerRefused]


def test_one_that_begins_after_an_error_is_not_held_to_it() -> None:
    with told_by_hand() as (sender, peer):
        first = sender.send_together(messages(2))
        refuse(peer, read_sends(peer, 2))
        assert peer.read_frame().startswith(b"ABORT")
        failure(first)
        second = sender.send_together(messages(2))
        peer.confirm(read_sends(peer, 2, "t2"))
        peer.confirm(read_commit(peer, "t2"))
        second.result(10)


def test_a_late_error_about_one_is_not_held_against_what_is_sent_after_it() -> None:
    with told_by_hand() as (sender, peer):
        future = sender.send_together(messages(3))
        last = read_sends(peer, 3)
        refuse(peer)
        peer.confirm(last)
        assert peer.read_frame().startswith(b"ABORT")
        failure(future)
        again = [sender.send("/queue/a", {}, b"%d" % number) for number in range(3)]
        receipts = [peer.receipt_of(peer.read_frame()) for _ in range(3)]
        refuse(peer)
        for receipt in receipts:
            peer.confirm(receipt)
        assert [each.exception(10) for each in again] == [None] * 3


def test_a_commit_that_is_refused_on_account_of_one_has_stored_nothing() -> None:
    with told_by_hand() as (sender, peer):
        future, commit = up_to_commit(sender, peer)
        refuse(peer)
        refuse(peer, commit)
        assert type(failure(future)) is BrokerRefused


def test_a_commit_that_is_refused_before_the_error_about_one_comes_has_stored_nothing() -> None:
    # ActiveMQ tells the two from threads of their own.
    with told_by_hand() as (sender, peer):
        future, commit = up_to_commit(sender, peer)
        refuse(peer, commit, "COMMIT FAILED: Transaction marked rollback only xaErrorCode:100")
        assert type(failure(future)) is BrokerRefused
        again = sender.send("/queue/a", {}, b"0")
        receipt = peer.receipt_of(peer.read_frame())
        refuse(peer)
        peer.confirm(receipt)
        again.result(10)


@pytest.mark.parametrize("why", ["not that one", "STORE COMMIT FAILED: Transaction rolled back xaErrorCode:104"])
def test_a_commit_that_is_refused_for_itself_may_have_stored_them(why: str) -> None:
    with told_by_hand() as (sender, peer):
        future, commit = up_to_commit(sender, peer)
        refuse(peer, commit, why)
        assert type(failure(future)) is ReceiptTimeout


def test_a_commit_that_is_confirmed_though_one_was_refused_is_not_taken_for_all() -> None:
    with told_by_hand() as (sender, peer):
        future, commit = up_to_commit(sender, peer)
        refuse(peer)
        peer.confirm(commit)
        assert type(failure(future)) is ReceiptTimeout


@pytest.mark.parametrize("all_of_it", [False, True])
def test_a_connection_that_ends_before_the_commit_has_sent_nothing(all_of_it: bool) -> None:
    with told_by_hand() as (sender, peer):
        future = sender.send_together(messages(2))
        if all_of_it:
            read_sends(peer, 2)
        else:
            peer.read_frame()
        peer.reset()
        assert type(failure(future)) is RolledBack


def test_a_connection_that_ends_after_the_commit_may_have_sent_them() -> None:
    with told_by_hand() as (sender, peer):
        future, _ = up_to_commit(sender, peer)
        peer.reset()
        assert type(failure(future)) is SessionClosed


def test_a_message_that_can_not_be_written_keeps_all_from_being_sent(broker: RunningDevBroker) -> None:
    with sender_to(at(broker)) as sender:
        bad = sender.send_together([*messages(2), Message("/queue/a", {"": "nameless"}, b"bad"), *messages(1)])
        assert type(failure(bad)) is RolledBack
        sender.send_together(messages(2)).result(5)
    assert broker.bodies("/queue/a") == [b"0", b"1"]


def test_a_broker_without_transactions_is_sent_nothing(broker: RunningDevBroker) -> None:
    with sender_to(at(broker), kind=BrokerKind.GENERIC) as sender:
        assert type(failure(sender.send_together(messages(2)))) is RolledBack
    assert broker.bodies("/queue/a") == []


def test_a_closed_sender_sends_nothing(broker: RunningDevBroker) -> None:
    with sender_to(at(broker)) as sender:
        sender.close(2.0)
        assert isinstance(failure(sender.send_together(messages(2))), SessionClosed)
    assert broker.bodies("/queue/a") == []


def test_what_is_under_way_is_committed_before_the_sender_ends(broker: RunningDevBroker) -> None:
    with sender_to(at(broker)) as sender:
        futures = [sender.send_together(messages(100)) for _ in range(3)]
    assert [future.exception(0) for future in futures] == [None, None, None]
    assert broker.bodies("/queue/a") == [b"%d" % number for number in range(100)] * 3


def test_what_comes_between_keeps_its_order(broker: RunningDevBroker) -> None:
    with sender_to(at(broker)) as sender:
        sender.send_together(messages(50)).result(5)
        sender.send("/queue/a", {}, b"alone").result(5)
        sender.send_together(messages(2)).result(5)
    assert broker.bodies("/queue/a") == [*(b"%d" % number for number in range(50)), b"alone", b"0", b"1"]


@pytest.mark.parametrize("after", [AfterError.STAY, AfterError.CLOSE])
def test_one_refused_keeps_all_from_being_stored(broker: RunningDevBroker, after: AfterError) -> None:
    broker.faults.refuse_sends("User app is not authorized to write", "/queue/secret", after)
    with sender_to(at(broker)) as sender:
        error = failure(sender.send_together([*messages(3), *messages(1, "/queue/secret"), *messages(3)]))
        assert type(error) in {BrokerRefused, RolledBack}
    assert broker.bodies("/queue/a") == []


@pytest.mark.long
def test_one_that_is_late_is_committed_when_the_broker_goes_on(broker: RunningDevBroker) -> None:
    with sender_to(at(broker), receipt_timeout_s=0.5) as sender:
        broker.faults.block_sends()
        error = failure(sender.send_together(messages(3)))
        assert isinstance(error, ReceiptTimeout)
        assert error.outcome is not None
        assert not error.outcome.done()
        broker.faults.unblock_sends()
        error.outcome.result(5)
    assert broker.bodies("/queue/a") == [b"0", b"1", b"2"]


@pytest.mark.long
def test_one_waits_while_any_of_its_destinations_is_stuck(
    broker: RunningDevBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(awaited, "SILENT_AFTER_S", 0.1)
    with sender_to(at(broker), receipt_timeout_s=0.5) as sender:
        broker.faults.block_sends("/queue/stuck")
        stuck = failure(sender.send("/queue/stuck", {}, b"a"))
        assert isinstance(stuck, ReceiptTimeout)
        both = sender.send_together([*messages(2), *messages(1, "/queue/stuck")])
        assert type(failure(both)) is BrokerBlocked, "held back, and not sent"
        sender.send_together(messages(2)).result(5)
        broker.faults.unblock_sends()
    assert broker.bodies("/queue/a") == [b"0", b"1"]
    assert broker.bodies("/queue/stuck") == [b"a"]


@pytest.mark.broker
class TestActiveMQ:
    """What transactions rest on, on the brokers themselves."""

    @pytest.fixture(params=["activemq", "activemq6"])
    def real(self, request: pytest.FixtureRequest) -> TestBroker:
        made: TestBroker = request.getfixturevalue(request.param)
        return made

    def test_what_is_confirmed_is_there_once_and_in_order(self, real: TestBroker, destination: str) -> None:
        broker = real.broker_spec()
        sender = Sender(broker)
        futures = [
            sender.send_together([_numbered(destination, n) for n in range(start, start + 500)]) for start in (0, 500)
        ]
        for future in futures:
            future.result(20)
        sender.close(5.0)
        assert take_all(broker, destination, 1_000) == list(range(1_000))

    def test_a_header_over_which_it_closes_keeps_all_from_being_stored(
        self, real: TestBroker, destination: str
    ) -> None:
        broker = real.broker_spec()
        sender = Sender(broker)
        error = failure(
            sender.send_together([_numbered(destination, 0), Message(destination, {"priority": "high"}, b"1")])
        )
        assert type(error) is RolledBack
        sender.send_together([_numbered(destination, 2), _numbered(destination, 3)]).result(20)
        sender.close(5.0)
        assert take_all(broker, destination, 2) == [2, 3]

    @pytest.mark.slow
    def test_one_that_is_killed_has_all_of_a_transaction_or_none(self, real: TestBroker, destination: str) -> None:
        broker = real.broker_spec()
        sender = Sender(broker)
        ended = threading.Event()
        futures: list[Future[None]] = []

        def send() -> None:
            while not ended.is_set():
                start = 100 * len(futures)
                future = sender.send_together([_numbered(destination, n) for n in range(start, start + 100)])
                futures.append(future)
                if future.exception(30) is not None:
                    return

        sending = threading.Thread(target=send)
        sending.start()
        until(lambda: len(futures) > 20, 30, "twenty transactions are committed")
        real.kill()
        ended.set()
        sending.join(60)
        sender.close(1.0)
        real.start()
        confirmed = [future for future in futures if future.exception(0) is None]
        with running(broker, destination) as run:
            run.seen.wait(100 * len(confirmed))
            until(lambda: figures(read(real, destination)[0])[:2] == (0, 0), 20, "nothing is left")
        there = run.seen.bodies
        assert len(there) in {100 * len(confirmed), 100 * len(futures)}
        assert there == list(range(len(there)))


def _numbered(destination: str, number: int) -> Message:
    return Message(destination, PERSISTENT, b"%d" % number)

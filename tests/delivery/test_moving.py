"""Moving: what becomes of messages when the target refuses, goes silent, goes away; and that each is sent once."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from stompconsole.brokers import dialect_for
from stompconsole.delivery import moving as moving_module
from stompconsole.delivery.moving import MoveWork, is_dead_letter_queue
from stompconsole.delivery.runner import SubscriptionRunner
from stompconsole.delivery.sender import Sender
from stompconsole.delivery.settlement import Delivery, Settlement
from stompconsole.delivery.specs import AckMode, BrokerSpec, SubscriptionSpec
from stompconsole.delivery.taking import Quota
from stompconsole.devbroker.refusals import AfterError
from stompconsole.transport.session import Endpoint
from tests.delivery.recording import RecordingSession
from tests.delivery.running import Seen
from tests.support.devbroker import RunningDevBroker, running_devbroker
from tests.support.waiting import until

SOURCE, TARGET = "/queue/source", "/queue/target"
BODIES = [str(number).encode() for number in range(20)]


@pytest.fixture
def source() -> Iterator[RunningDevBroker]:
    with running_devbroker() as running:
        running.send(SOURCE, *BODIES)
        yield running


@pytest.fixture
def target() -> Iterator[RunningDevBroker]:
    with running_devbroker(transcript_frames=1_000) as running:
        yield running


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(moving_module, "FIRST_PAUSE_S", 0.05)


def at(broker: RunningDevBroker, **fields: object) -> BrokerSpec:
    endpoint = Endpoint(host=broker.host, port=broker.port)
    limits = {"connect_timeout_s": 2.0, "receipt_timeout_s": 0.5, "reconnect_pause_s": 0.2}
    return BrokerSpec(name="tested", endpoints=(endpoint,), **{**limits, **fields})  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True, kw_only=True)
class Moving:
    """A move in progress."""

    work: MoveWork
    quota: Quota
    runner: SubscriptionRunner
    ended: threading.Event

    def wait_for(self, count: int) -> None:
        until(lambda: self.quota.taken >= count, 20, f"{count} messages moved")


@contextmanager
def moving(source: RunningDevBroker, to: BrokerSpec) -> Iterator[Moving]:
    ended = threading.Event()
    quota = Quota(None, ended.set)
    sender = Sender(to)
    work = MoveWork(sender, to, TARGET, quota, ended.set)
    subscription = SubscriptionSpec(
        name="moving", broker=at(source), destination=SOURCE, ack_mode=AckMode.CLIENT_INDIVIDUAL, threads=1,
        prefetch=100, batch=50,
    )  # fmt: skip
    runner = SubscriptionRunner(subscription, work, Seen())
    runner.start()
    try:
        yield Moving(work=work, quota=quota, runner=runner, ended=ended)
    finally:
        work.stop()
        runner.drain()
        assert runner.join(20), "a move that is stopped must end"
        sender.close(1.0)


def sends(broker: RunningDevBroker) -> int:
    """How many SENDs a broker was sent."""
    return sum("SEND" in str(line) for lines in broker.transcripts().values() for line in lines)


def test_all_are_moved_in_order(source: RunningDevBroker, target: RunningDevBroker) -> None:
    with moving(source, at(target)) as move:
        move.wait_for(20)
        assert move.work.trouble == ""
    assert target.bodies(TARGET) == BODIES
    assert source.depth(SOURCE) == 0


@pytest.mark.parametrize("after", AfterError)
def test_a_target_that_refuses_ends_it_with_the_reason_and_nothing_leaves_the_source(
    source: RunningDevBroker, target: RunningDevBroker, after: AfterError
) -> None:
    target.faults.refuse_sends("access refused for user 'app'", TARGET, after)
    with moving(source, at(target)) as move:
        assert move.ended.wait(20)
        assert f"{TARGET} does not take message" in move.work.failure
        assert "access refused for user 'app'" in move.work.failure
    assert (source.bodies(SOURCE), source.unacked(SOURCE)) == (BODIES, 0)
    assert sends(target) == 1


def test_a_target_that_ends_the_connection_again_and_again_ends_it(
    source: RunningDevBroker, target: RunningDevBroker
) -> None:
    """As RabbitMQ does without a word when a queue is full."""
    with moving(source, at(target)) as move:

        def cut_at_each_send() -> bool:
            target.faults.drop_after(1, "SEND")
            return move.ended.is_set()

        until(cut_at_each_send, 20, "it gives up")
        assert f"the connection ended over a message sent to {TARGET}" in move.work.failure
        assert "times in a row" in move.work.failure
    assert move.quota.taken + source.depth(SOURCE) == 20
    assert "may be in /queue/target twice" in move.work.remark


@pytest.mark.long
def test_a_target_that_is_away_is_waited_for(source: RunningDevBroker, target: RunningDevBroker) -> None:
    target.stop()
    with moving(source, at(target)) as move:
        until(lambda: f"{target.port}" in move.work.trouble, 20, "it says what it waits for")
        target.start()
        move.wait_for(20)
        assert (move.work.trouble, move.work.failure) == ("", "")
    assert target.bodies(TARGET) == BODIES


@pytest.mark.long
def test_a_target_that_refuses_the_login_ends_it(source: RunningDevBroker, target: RunningDevBroker) -> None:
    target.faults.refuse_connects("bad password")
    with moving(source, at(target)) as move:
        assert move.ended.wait(20)
        assert "bad password" in move.work.failure
    assert source.bodies(SOURCE) == BODIES


def test_a_broker_that_goes_silent_is_waited_for_and_holds_each_message_once(
    source: RunningDevBroker, target: RunningDevBroker
) -> None:
    target.faults.block_sends()
    beating = {"heartbeat_send_s": 0.5, "heartbeat_receive_s": 0.5}
    with moving(source, at(target, **beating)) as move:
        until(lambda: "does not confirm" in move.work.trouble, 20, "it says what it waits for")
        target.faults.clear()
        move.wait_for(20)
        assert move.work.trouble == ""
    assert target.bodies(TARGET) == BODIES
    assert source.depth(SOURCE) == 0


@pytest.mark.long
def test_a_stop_while_the_target_is_silent_gives_everything_back(
    source: RunningDevBroker, target: RunningDevBroker
) -> None:
    target.faults.block_sends()
    with moving(source, at(target)) as move:
        until(lambda: "does not confirm" in move.work.trouble, 20, "it waits")
    assert (source.bodies(SOURCE), source.unacked(SOURCE)) == (BODIES, 0)
    assert "1 times a message was sent and not confirmed" in move.work.remark


@pytest.mark.long
def test_receipts_that_are_lost_cost_no_message(source: RunningDevBroker, target: RunningDevBroker) -> None:
    target.faults.swallow_receipts()
    with moving(source, at(target, heartbeat_send_s=0.0, heartbeat_receive_s=0.0)) as move:
        until(lambda: "does not confirm" in move.work.trouble, 20, "it waits")
        target.faults.clear()
        target.faults.cut_connections()
        move.wait_for(20)
    assert set(target.bodies(TARGET)) == set(BODIES)
    assert source.depth(SOURCE) == 0


@pytest.mark.long
def test_a_source_that_is_lost_meanwhile_costs_no_message(source: RunningDevBroker, target: RunningDevBroker) -> None:
    target.faults.block_sends()
    with moving(source, at(target)) as move:
        until(lambda: "does not confirm" in move.work.trouble, 20, "it waits")
        source.faults.cut_connections()
        until(lambda: source.unacked(SOURCE) == 0 or source.connections() > 0, 20, "they are the source's again")
        target.faults.clear()
        until(lambda: source.depth(SOURCE) + source.unacked(SOURCE) == 0, 20, "all are moved")
    assert set(target.bodies(TARGET)) == set(BODIES)


@pytest.mark.parametrize(
    ("destination", "expected"),
    [
        ("/queue/DLQ.orders", True),
        ("/amq/queue/DLQ.orders", True),
        ("DLQ.orders", True),
        ("/queue/orders", False),
        ("/queue/orders.DLQ.x", False),
    ],
)
def test_a_queue_of_dead_letters_is_known_by_its_name(destination: str, expected: bool) -> None:
    assert is_dead_letter_queue(destination) is expected


def duplicate_id(kind: str, destination: str = SOURCE, **headers: str) -> str:
    class Silent:
        def after(self, delay_s: float, action: object) -> None:
            return

        def put(self, delivery: Delivery) -> None:
            return

        def wake(self) -> None:
            return

    settlement = Settlement(RecordingSession(), destination, limit=1, around=Silent())
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    return moving_module._duplicate_id(Delivery(settlement, given, b""), dialect_for(kind, ""))


def test_a_message_that_is_given_again_has_the_same_id_for_the_target() -> None:
    artemis = {"timestamp": "1700000000000", "x": "1"}
    first = duplicate_id("artemis", message_id="1,77", ack="1,77", redelivered="false", **artemis)
    again = duplicate_id("artemis", message_id="9,77", ack="9,77", redelivered="true", **artemis)
    assert first == again


def test_two_messages_never_have_the_same_id_for_the_target() -> None:
    base = {"message_id": "1,77", "timestamp": "1", "original_destination": "/queue/a"}
    others = [
        {**base, "message_id": "1,78"},
        {**base, "timestamp": "2"},
        {**base, "original_destination": "/queue/b"},
    ]
    ids = {duplicate_id("artemis", **headers) for headers in [base, *others]}
    assert len(ids | {duplicate_id("artemis", "/queue/elsewhere", **base)}) == 5
    # RabbitMQ names deliveries, not messages: nothing is known to be the same.
    assert duplicate_id("rabbitmq", **base) != duplicate_id("rabbitmq", **base)

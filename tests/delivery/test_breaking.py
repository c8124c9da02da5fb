"""A subscription with a breaker, on each broker: a dead downstream costs a handful of dead letters, not the queue."""

from __future__ import annotations

import threading
import time
from collections import Counter
from typing import Any

import pytest

from stompconsole.delivery.breaker import PAUSED
from stompconsole.delivery.payload import Handler, Payload
from stompconsole.delivery.specs import AckMode, BreakerPolicy, RetryPolicy, SubscriptionState
from stompconsole.errors import Reject
from tests.delivery.running import Running, Seen, running, send, take_all, take_dead_letters
from tests.support.brokers import TestBroker
from tests.support.proxy import Proxy
from tests.support.waiting import until

QUICK = BreakerPolicy(in_a_row=3, probe_s=0.2)
PATIENT = BreakerPolicy(in_a_row=3, probe_s=600.0)
GIVING_BACK = [AckMode.CLIENT_INDIVIDUAL, AckMode.CLIENT]


class Downstream:
    """What a handler calls: dead until it is mended. Notes each body it was called with, and what came through."""

    def __init__(self) -> None:
        self.dead = threading.Event()
        self.dead.set()
        self.called: list[Any] = []
        self.done: list[Any] = []

    def handler(self, seen: Seen) -> Handler:
        def handle(payload: Payload) -> None:
            self.called.append(payload.body)
            if isinstance(payload.body, dict):
                raise Reject("not for us")
            if self.dead.is_set() or payload.body == "poison":
                raise ConnectionError("connection refused")
            self.done.append(payload.body)
            seen.keep(payload)

        return handle


@pytest.fixture
def downstream() -> Downstream:
    return Downstream()


def wait_open(run: Running) -> None:
    until(lambda: "one message is tried in" in run.runner.status.reason, 20, "it is open")


def wait_left(run: Running) -> None:
    """Wait until it is open and has left the broker."""
    wait_open(run)
    until(lambda: not run.runner.status.endpoint, 20, "its session is over")


@pytest.mark.long
@pytest.mark.parametrize("mode", GIVING_BACK)
@pytest.mark.parametrize("threads", [1, 4])
def test_a_dead_downstream_costs_a_handful_and_when_it_is_back_the_rest_is_handled_once(
    any_broker: TestBroker, destination: str, downstream: Downstream, mode: AckMode, threads: int
) -> None:
    broker = any_broker.broker_spec()
    send(broker, destination, list(range(200)))
    with running(broker, destination, downstream.handler, ack_mode=mode, threads=threads, breaker=QUICK) as run:
        until(lambda: len(run.seen.breaker) >= 3, 30, "it has tried, and failed")
        assert run.runner.status.state is SubscriptionState.BACKING_OFF
        # Three opened it, each other thread may have had one in hand, each try has cost one more.
        tries = len(run.seen.breaker) - 1
        assert run.seen.counts["dead_lettered"] <= 3 + (threads - 1) + tries
        downstream.dead.clear()
        until(lambda: run.seen.breaker[-1].startswith("breaker closed"), 30, "it closes by itself")
        dead = run.seen.counts["dead_lettered"]
        until(lambda: len(downstream.done) == 200 - dead, 30, "all others are handled")
        run.wait_running()
        run.wait_settled()
        assert run.runner.status.reason == ""
        letters = take_dead_letters(run.consumer, dead)
        assert sum(turn.startswith("breaker opened") for turn in run.seen.breaker) == 1, "however many threads saw it"
    assert max(Counter(downstream.called).values()) == 1, "nothing is handled twice"
    assert sorted([int(body) for _, body in letters] + downstream.done) == list(range(200))


def test_while_it_is_open_the_queue_keeps_its_messages_in_order(
    any_broker: TestBroker, destination: str, downstream: Downstream
) -> None:
    broker = any_broker.broker_spec()
    send(broker, destination, list(range(50)))
    with running(broker, destination, downstream.handler, breaker=PATIENT) as run:
        wait_left(run)
        assert run.runner.status.reason.startswith(
            f"{PAUSED}: 3 failures in a row, last ConnectionError: connection refused; one message is tried in "
        )
        assert take_all(broker, destination, 47) == list(range(3, 50))
    assert downstream.called == [0, 1, 2]


def test_more_than_so_many_percent_open_it_too(devbroker: TestBroker, destination: str) -> None:
    def every_other(seen: Seen) -> Handler:
        def handle(payload: Payload) -> None:
            seen.keep(payload)
            if payload.body % 2 == 0:
                raise ConnectionError("no")

        return handle

    broker = devbroker.broker_spec()
    send(broker, destination, list(range(100)))
    with running(broker, destination, every_other, breaker=BreakerPolicy(percent=40, probe_s=600)) as run:
        wait_left(run)
        assert "6 of the last 11 messages failed" in run.runner.status.reason
        assert len(run.seen.bodies) == 11


@pytest.mark.parametrize("how", ["drain", "abort"])
def test_it_ends_at_once_while_it_waits_out_its_back_off(
    devbroker: TestBroker, destination: str, downstream: Downstream, how: str
) -> None:
    send(devbroker.broker_spec(), destination, list(range(5)))
    with running(devbroker.broker_spec(), destination, downstream.handler, breaker=PATIENT) as run:
        wait_left(run)
        started = time.monotonic()
        run.runner.drain() if how == "drain" else run.runner.abort("enough")
        assert run.runner.join(3)
        assert time.monotonic() - started < 3
        assert run.runner.status.state is SubscriptionState.STOPPED


def test_an_operator_can_have_it_try_at_once(devbroker: TestBroker, destination: str, downstream: Downstream) -> None:
    send(devbroker.broker_spec(), destination, list(range(10)))
    with running(devbroker.broker_spec(), destination, downstream.handler, breaker=PATIENT) as run:
        run.runner.try_now()  # of no effect yet
        wait_left(run)
        downstream.dead.clear()
        run.runner.try_now()
        until(lambda: len(downstream.done) == 7, what="all others are handled")
    assert run.seen.breaker[1:] == ["breaker half-open, probing", "breaker closed: the message it tried was handled"]


def test_with_nothing_to_try_it_waits_and_says_so(
    any_broker: TestBroker, destination: str, downstream: Downstream
) -> None:
    broker = any_broker.broker_spec()
    send(broker, destination, [0, 1, 2])
    with running(broker, destination, downstream.handler, breaker=QUICK) as run:
        until(lambda: "waiting for a message to try" in run.runner.status.reason, 20, "it says so")
        until(lambda: run.runner.status.endpoint, what="it is subscribed")
        assert run.runner.status.state is SubscriptionState.BACKING_OFF
        downstream.dead.clear()
        send(broker, destination, ["a", "b"])
        until(lambda: downstream.done == ["a", "b"], what="it has closed")
        run.wait_running()


def test_what_is_in_a_handler_when_it_opens_is_finished_and_acknowledged(
    any_broker: TestBroker, destination: str
) -> None:
    begun, release = threading.Event(), threading.Event()

    def make(seen: Seen) -> Handler:
        def handle(payload: Payload) -> None:
            if payload.body == "slow":
                begun.set()
                assert release.wait(30)
                seen.keep(payload)
                return
            assert begun.wait(30)
            raise ConnectionError("no")

        return handle

    broker = any_broker.broker_spec()
    send(broker, destination, ["slow", *range(20)])
    with running(broker, destination, make, threads=2, breaker=PATIENT) as run:
        wait_open(run)
        assert run.runner.status.endpoint, "it stays until the slow one is done"
        assert run.runner.status.state is SubscriptionState.BACKING_OFF
        release.set()
        wait_left(run)
        assert sorted(take_all(broker, destination, 17)) == list(range(3, 20))
    assert (run.seen.bodies, run.seen.counts["acked"]) == (["slow"], 1)


def test_one_message_that_is_tried_again_and_again_opens_nothing(devbroker: TestBroker, destination: str) -> None:
    def make(seen: Seen) -> Handler:
        def handle(payload: Payload) -> None:
            seen.keep(payload)
            raise ValueError("poison")

        return handle

    policy = RetryPolicy(max_attempts=6, first_delay_s=0.01, max_delay_s=0.02)
    send(devbroker.broker_spec(), destination, ["poison"])
    with running(devbroker.broker_spec(), destination, make, retry=policy, breaker=PATIENT) as run:
        run.seen.wait(6)
        until(lambda: run.seen.counts["dead_lettered"] == 1, what="it is given up")
        assert run.runner.status.state is SubscriptionState.RUNNING
    assert run.seen.breaker == []


@pytest.mark.long
@pytest.mark.parametrize("mode", GIVING_BACK)
def test_a_message_that_never_passes_is_given_up_in_the_end_and_holds_up_nobody(
    any_broker: TestBroker, destination: str, downstream: Downstream, mode: AckMode
) -> None:
    """With more attempts than one what is tried goes back: its attempts count on, else it were tried for ever."""
    broker = any_broker.broker_spec()
    # Where it does not come first again (ActiveMQ) another one closes the breaker, and it has its attempts after that.
    retry = RetryPolicy(max_attempts=3, first_delay_s=0.1, max_delay_s=0.1)
    send(broker, destination, ["poison", *range(6)], **{"correlation-id": "c"})
    fields = {"ack_mode": mode, "retry": retry, "breaker": BreakerPolicy(in_a_row=3, probe_s=0.05)}
    with running(broker, destination, downstream.handler, **fields) as run:
        until(lambda: len(run.seen.breaker) >= 3, 20, "it is open, and has tried")
        downstream.dead.clear()
        until(lambda: len(downstream.done) == 6, 30, "the others are handled")
        [(_, body)] = take_dead_letters(run.consumer, 1)
    assert body == b'"poison"'
    assert sorted(downstream.done) == list(range(6))


def test_what_waits_for_a_retry_goes_back_when_it_opens(
    any_broker: TestBroker, destination: str, downstream: Downstream
) -> None:
    broker = any_broker.broker_spec()
    send(broker, destination, list(range(5)))
    retry = RetryPolicy(max_attempts=5, first_delay_s=60.0)
    with running(broker, destination, downstream.handler, retry=retry, breaker=PATIENT) as run:
        wait_left(run)
        assert take_all(broker, destination, 5) == list(range(5))
    assert run.seen.counts["dead_lettered"] == 0


def test_a_message_that_is_wrong_by_itself_says_nothing_so_the_next_one_is_tried(
    any_broker: TestBroker, destination: str, downstream: Downstream
) -> None:
    broker = any_broker.broker_spec()
    send(broker, destination, [0, 1, 2, b"{not json", {"rejected": 1}, 3, 4])
    with running(broker, destination, downstream.handler, breaker=PATIENT) as run:
        wait_left(run)
        downstream.dead.clear()
        run.runner.try_now()
        until(lambda: downstream.done == [3, 4], what="it has closed")
        run.wait_settled()
        assert len(take_dead_letters(run.consumer, 5)) == 5
    assert len([words for words in run.seen.breaker if words.startswith("breaker stays")]) == 0


def test_a_connection_that_is_lost_while_it_tries_is_no_answer(
    any_broker: TestBroker, proxy: Proxy, destination: str, downstream: Downstream
) -> None:
    broker = any_broker.broker_spec(endpoints=(proxy.endpoint,), reconnect_pause_s=0.2)
    send(broker, destination, [0, 1, 2])
    with running(broker, destination, downstream.handler, breaker=QUICK) as run:
        until(lambda: "waiting for a message to try" in run.runner.status.reason, 20, "it is half-open")
        proxy.refuse()
        until(lambda: str(proxy.endpoint) in run.runner.status.reason, 20, "it says what is wrong now")
        assert PAUSED in run.runner.status.reason
        proxy.accept()
        downstream.dead.clear()
        send(broker, destination, ["a"])
        until(lambda: downstream.done == ["a"], 30, "it has closed")


def test_ack_mode_auto_has_none_and_says_so(devbroker: TestBroker, destination: str, downstream: Downstream) -> None:
    send(devbroker.broker_spec(), destination, list(range(20)))
    with running(devbroker.broker_spec(), destination, downstream.handler, ack_mode=AckMode.AUTO, breaker=QUICK) as run:
        until(lambda: run.seen.counts["dead_lettered"] == 20, what="all are dead letters")
        assert run.runner.status.state is SubscriptionState.RUNNING
        assert run.runner.status.reason.startswith("its breaker is off: With ack mode auto")


def test_a_topic_has_none_since_what_it_would_leave_is_lost(
    devbroker: TestBroker, topic_name: str, downstream: Downstream
) -> None:
    with running(devbroker.broker_spec(), topic_name, downstream.handler, breaker=QUICK) as run:
        run.wait_running()
        assert run.runner.status.reason.startswith("its breaker is off: What is sent to a topic")


@pytest.fixture
def topic_name(destination: str) -> str:
    return destination.replace("/queue/", "/topic/")

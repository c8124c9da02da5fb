"""A subscription goes to the standby when the primary is gone, and back by policy: nothing lost, a switch told once."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace

import pytest

from stompconsole.delivery.specs import AckMode, Failback, SubscriptionState
from stompconsole.transport.session import Endpoint, Place
from tests.delivery.running import held_on, running, send
from tests.delivery.test_depths import read
from tests.failover.pair import Pair, pair_before, watches
from tests.support.brokers import TestBroker
from tests.support.devbroker import RunningDevBroker
from tests.support.ports import free_port
from tests.support.waiting import until


@pytest.fixture
def pair(devbroker: TestBroker) -> Iterator[Pair]:
    with pair_before(devbroker) as doors:
        yield doors
    until(lambda: not watches(), what="no watch is left behind")


@pytest.mark.parametrize("mode", list(AckMode))
def test_there_and_back_nothing_is_lost_and_little_comes_twice(
    any_broker: TestBroker, destination: str, mode: AckMode
) -> None:
    with pair_before(any_broker) as pair, running(pair.spec(), destination, ack_mode=mode, prefetch=10) as run:
        pair.on_primary(run)
        send(any_broker.broker_spec(), destination, list(range(100)))
        run.seen.wait(100)
        run.wait_settled()
        # Settled here, the last ACKs may be on their way yet.
        until(lambda: read(any_broker, destination)[0].in_flight == 0, 30, "the broker has them")
        pair.primary.refuse()
        pair.on_standby(run)
        send(any_broker.broker_spec(), destination, list(range(100, 300)))
        pair.primary.accept()
        pair.on_primary(run)
        send(any_broker.broker_spec(), destination, list(range(300, 400)))
        run.seen.wait(400)
        run.wait_settled()
    # Left in order, and idle when it was cut: not even what was prefetched comes twice.
    assert sorted(run.seen.bodies) == list(range(400))
    assert pair.told() == [pair.at_standby, pair.at_primary]


def test_the_standby_is_tried_in_the_first_attempt_and_the_page_is_told_why(pair: Pair, destination: str) -> None:
    pair.primary.refuse()
    with running(pair.spec(), destination) as run:
        pair.on_standby(run)
        assert [state for state, _ in run.seen.states] == [SubscriptionState.RUNNING], "without a pause between"
        assert run.runner.status.reason == f"on the standby {pair.at_standby}, in place of {pair.at_primary}"
    (switch,) = pair.switches
    assert str(switch).startswith(f"{pair.at_standby} in place of {pair.at_primary}, because ")
    assert pair.at_primary in switch.reason


def test_with_both_gone_both_reasons_are_told(pair: Pair, destination: str) -> None:
    pair.primary.refuse()
    pair.standby.refuse()
    with running(pair.spec(), destination) as run:
        until(lambda: run.runner.status.state is SubscriptionState.BACKING_OFF, what="it backs off")
        primary, standby = run.runner.status.reason.split("; ")
        assert pair.at_primary in primary
        assert pair.at_standby in standby
    assert pair.told() == []


def test_it_stays_on_the_standby_until_its_session_ends_if_that_is_the_policy(pair: Pair, destination: str) -> None:
    pair.primary.refuse()
    with running(pair.spec(Failback.STAY), destination) as run:
        pair.on_standby(run)
        pair.primary.accept()
        assert watches() == []
        send(pair.spec(Failback.STAY), destination, ["a"])
        run.seen.wait(1)
        assert run.runner.status.endpoint == pair.at_standby
        pair.standby.cut()
        pair.on_primary(run)
        assert run.runner.status.reason == ""


@pytest.mark.long
def test_a_port_that_is_open_is_no_primary_that_is_back(pair: Pair, destination: str) -> None:
    pair.primary.freeze()
    with running(pair.spec(connect_timeout_s=0.3), destination) as run:
        pair.on_standby(run)
        tried = pair.primary.connections
        until(lambda: pair.primary.connections >= tried + 2, what="it was tried twice")
        assert run.runner.status.endpoint == pair.at_standby
        assert len(run.seen.states) == 1, "it was left alone"
        pair.primary.thaw()
        pair.on_primary(run)


def test_a_primary_that_refuses_the_login_is_not_returned_to(devbroker: TestBroker, destination: str) -> None:
    with pair_before(devbroker) as pair:
        strange = "ERROR\nmessage:not yet\n\n\0"
        with socket.create_server(("127.0.0.1", 0)) as listener:
            refusals = refusing(listener, strange.encode())
            primary = Endpoint(host="127.0.0.1", port=listener.getsockname()[1])
            doors = (primary, replace(pair.standby.endpoint, place=Place.STANDBY))
            with running(pair.spec(endpoints=doors), destination) as run:
                pair.on_standby(run)
                until(lambda: len(refusals) >= 3, what="it was tried again")
                assert run.runner.status.endpoint == pair.at_standby


def refusing(listener: socket.socket, words: bytes) -> list[float]:
    """Answer every CONNECT with these words; when each came."""
    came: list[float] = []

    def serve() -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            with client:
                came.append(time.monotonic())
                client.recv(1_000)
                client.sendall(words)

    threading.Thread(target=serve, daemon=True).start()
    return came


def test_what_is_in_a_handler_is_finished_and_acked_before_it_returns(any_broker: TestBroker, destination: str) -> None:
    release, begun = threading.Event(), threading.Event()
    with pair_before(any_broker) as pair:
        pair.primary.refuse()
        with running(pair.spec(), destination, held_on(release, begun, "slow"), prefetch=5) as run:
            pair.on_standby(run)
            send(any_broker.broker_spec(), destination, ["slow", "b", "c", "d", "e", "f", "g"])
            assert begun.wait(20)
            pair.primary.accept()
            until(lambda: run.runner.status.state is SubscriptionState.DRAINING, 20, "it is about to return")
            assert run.runner.status.reason == f"returning to {pair.at_primary}"
            assert run.runner.status.endpoint == pair.at_standby, "it waits for the handler"
            release.set()
            pair.on_primary(run)
            run.seen.wait(7)
            run.wait_settled()
    assert sorted(run.seen.bodies) == ["b", "c", "d", "e", "f", "g", "slow"]


def running_broker(pair: Pair) -> RunningDevBroker:
    return pair.broker.rig.running  # type: ignore[attr-defined,no-any-return]


@pytest.mark.long
def test_many_subscriptions_make_one_switch_and_share_one_watch(pair: Pair, destination: str) -> None:
    broker = pair.spec(failback_check_s=0.3, connect_timeout_s=0.5)
    with ExitStack() as stack:
        runs = [stack.enter_context(running(broker, f"{destination}.{number}")) for number in range(6)]
        for run in runs:
            pair.on_primary(run)
        pair.primary.freeze()
        pair.primary.cut()
        # Frozen: whoever tries it waits, so that tries side by side would be seen as connections side by side.
        for run in runs:
            pair.on_standby(run)
        assert pair.told() == [pair.at_standby]
        assert len(watches()) == 1
        before, began = pair.primary.connections, time.monotonic()
        until(lambda: pair.primary.connections > before, what="it is tried")
        assert pair.primary.connections - before <= 1 + (time.monotonic() - began) / 0.3
        pair.primary.thaw()
        for run in runs:
            pair.on_primary(run)
        until(lambda: watches() == [], what="the watch has ended")
        until(lambda: running_broker(pair).connections() == len(runs), what="its connection is closed")
        assert pair.told() == [pair.at_standby, pair.at_primary]


@pytest.mark.parametrize("how", ["drain", "abort"])
def test_a_watch_that_waits_for_the_primary_holds_no_end_up(pair: Pair, destination: str, how: str) -> None:
    pair.primary.refuse()
    with running(pair.spec(connect_timeout_s=8.0, failback_check_s=0.1), destination) as run:
        pair.on_standby(run)
        pair.primary.freeze()
        tried = pair.primary.connections
        pair.primary.accept()
        until(lambda: pair.primary.connections > tried, what="it is being tried, and does not answer")
        began = time.monotonic()
        run.runner.drain() if how == "drain" else run.runner.abort("enough")
        assert run.runner.join(3)
        assert time.monotonic() - began < 2
        pair.primary.thaw()


def test_the_watch_ends_as_soon_as_nobody_is_on_the_standby(pair: Pair, destination: str) -> None:
    pair.primary.refuse()
    with running(pair.spec(failback_check_s=60.0), destination) as run:
        pair.on_standby(run)
        assert len(watches()) == 1
        pair.standby.refuse()
        until(lambda: watches() == [], 5, "it does not wait for its next turn")


def test_a_primary_that_is_gone_again_while_it_returns_costs_nothing(pair: Pair, destination: str) -> None:
    pair.primary.refuse()
    begun, release = threading.Event(), threading.Event()
    with running(pair.spec(), destination, held_on(release, begun, "slow")) as run:
        pair.on_standby(run)
        send(pair.broker.broker_spec(), destination, ["slow"])
        assert begun.wait(10)
        pair.primary.accept()
        until(lambda: run.runner.status.state is SubscriptionState.DRAINING, what="it is about to return")
        pair.primary.refuse()
        release.set()
        pair.on_standby(run)
        send(pair.broker.broker_spec(), destination, ["more"])
        run.seen.wait(2)
        pair.primary.accept()
        pair.on_primary(run)
    assert run.seen.bodies == ["slow", "more"]
    assert SubscriptionState.BACKING_OFF not in [state for state, _ in run.seen.states]


def test_a_standby_that_can_not_be_reached_either_is_told_and_both_are_tried_again(
    pair: Pair, destination: str
) -> None:
    nobody = Endpoint(host="127.0.0.1", port=free_port(), place=Place.STANDBY)
    pair.primary.refuse()
    broker = pair.spec(endpoints=(pair.primary.endpoint, nobody))
    with running(broker, destination) as run:
        until(lambda: "STOMP_SERVER_STANDBY_HOST" in run.runner.status.reason, what="the standby's setting is named")
        pair.primary.accept()
        pair.on_primary(run)

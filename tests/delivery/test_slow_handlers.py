"""Handlers that take long never cost the connection: heart-beats go on both ways, and a dead broker is noticed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from stompconsole.delivery.payload import Handler, Payload
from stompconsole.delivery.specs import AckMode, SubscriptionState
from tests.delivery.running import Running, Seen, held_on, running, send
from tests.support.brokers import TestBroker
from tests.support.choosing import one_of_each_dialect
from tests.support.proxy import Proxy
from tests.support.waiting import until

BEATS_S = 1.0
LOST_AFTER_BEATS = 3
"""When a broker, or we, take the other end for dead: after two to four beats that did not come (BROKERS.md 9)."""

WAYS = [
    {"ack_mode": AckMode.CLIENT_INDIVIDUAL, "threads": 1},
    {"ack_mode": AckMode.CLIENT_INDIVIDUAL, "threads": 3},
    {"ack_mode": AckMode.CLIENT, "threads": 1},
    {"ack_mode": AckMode.CLIENT, "threads": 3},
    {"ack_mode": AckMode.AUTO, "threads": 1},
    {"ack_mode": AckMode.AUTO, "threads": 3},
]


@pytest.fixture
def release() -> Iterator[threading.Event]:
    event = threading.Event()
    yield event
    event.set()


def held(release: threading.Event, begun: threading.Semaphore) -> Callable[[Seen], Handler]:
    """Makes a handler that stays in every message until it is released."""

    def make(seen: Seen) -> Handler:
        def handler(payload: Payload) -> None:
            begun.release()
            assert release.wait(100)
            seen.keep(payload)

        return handler

    return make


def wait_for_beats(proxy: Proxy, sessions: int, beats: int) -> None:
    """Wait until so many heart-beats of each session have passed, and nothing else."""
    sent, heard = proxy.counts.from_client, proxy.counts.from_broker
    until(lambda: proxy.counts.from_client >= sent + sessions * beats, 60, "our heart-beats")
    until(lambda: proxy.counts.from_broker >= heard + sessions * beats, 60, "the broker's heart-beats")


def assert_never_lost(run: Running) -> None:
    assert [state for state, _ in run.seen.states] == [SubscriptionState.RUNNING]


@pytest.mark.long
@one_of_each_dialect
def test_a_handler_that_takes_several_heart_beat_time_outs_costs_nothing_in_any_mode(
    any_broker: TestBroker, proxy: Proxy, destination: str, release: threading.Event
) -> None:
    through = any_broker.broker_spec(endpoints=(proxy.endpoint,), heartbeat_send_s=BEATS_S, heartbeat_receive_s=BEATS_S)
    begun = threading.Semaphore(0)
    with ExitStack() as stack:
        runs = []
        for number, way in enumerate(WAYS):
            send(any_broker.broker_spec(), f"{destination}.{number}", ["a", "b", "c", "d"])
            runs.append(stack.enter_context(running(through, f"{destination}.{number}", held(release, begun), **way)))
        for _ in range(sum(way["threads"] for way in WAYS)):  # type: ignore[misc]
            assert begun.acquire(timeout=30)
        wait_for_beats(proxy, len(WAYS), 2 * LOST_AFTER_BEATS)
        release.set()
        for run in runs:
            run.seen.wait(4)
            run.wait_settled()
            assert_never_lost(run)
            assert sorted(run.seen.bodies) == ["a", "b", "c", "d"], "nothing was given twice"
    assert proxy.connections == len(WAYS)


@pytest.mark.long
def test_a_handler_that_keeps_the_processor_busy_costs_nothing_either(
    devbroker: TestBroker, destination: str, release: threading.Event
) -> None:
    begun = threading.Event()

    def make(seen: Seen) -> Handler:
        def handler(payload: Payload) -> None:
            begun.set()
            while not release.is_set():
                pass
            seen.keep(payload)

        return handler

    send(devbroker.broker_spec(), destination, ["a"])
    with Proxy(devbroker.endpoint()) as proxy:
        through = devbroker.broker_spec(endpoints=(proxy.endpoint,), heartbeat_send_s=0.5, heartbeat_receive_s=0.5)
        with running(through, destination, make) as run:
            assert begun.wait(10)
            wait_for_beats(proxy, 1, 2 * LOST_AFTER_BEATS)
            release.set()
            run.seen.wait(1)
            run.wait_settled()
            assert_never_lost(run)


@pytest.mark.long
@one_of_each_dialect
def test_a_dead_broker_is_noticed_though_the_handler_is_busy_and_the_prefetch_full(
    any_broker: TestBroker, proxy: Proxy, destination: str, release: threading.Event
) -> None:
    begun = threading.Event()
    send(any_broker.broker_spec(), destination, list(range(6)))
    through = any_broker.broker_spec(
        endpoints=(proxy.endpoint,), heartbeat_send_s=BEATS_S, heartbeat_receive_s=BEATS_S, connect_timeout_s=2.0
    )
    with running(through, destination, held_on(release, begun, 0), prefetch=3) as run:
        assert begun.wait(20)
        proxy.freeze()
        until(lambda: run.runner.status.state is SubscriptionState.BACKING_OFF, 15, "the silence is noticed")
        assert "silent" in run.seen.states[1][1]
        assert not release.is_set(), "the handler is still at it"
        proxy.thaw()
        proxy.cut()
        release.set()
        any_broker.until(lambda: set(run.seen.bodies) == set(range(6)), 30, "all are handled in the end")
        run.wait_settled()


@pytest.mark.slow
def test_a_handler_that_really_takes_a_minute_keeps_its_connection(
    rabbitmq: TestBroker, destination: str, release: threading.Event
) -> None:
    begun = threading.Semaphore(0)
    send(rabbitmq.broker_spec(), destination, ["a"])
    with Proxy(rabbitmq.endpoint()) as proxy:
        as_by_default = rabbitmq.broker_spec(
            endpoints=(proxy.endpoint,), heartbeat_send_s=10.0, heartbeat_receive_s=10.0
        )
        with running(as_by_default, destination, held(release, begun)) as run:
            assert begun.acquire(timeout=20)
            assert not release.wait(60)
            release.set()
            run.seen.wait(1)
            run.wait_settled()
            assert_never_lost(run)
        assert proxy.connections == 1

"""Whatever a handler does, its message is settled once, its thread goes on, and the end is in order."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from stompconsole.delivery import envelope
from stompconsole.delivery.payload import Handler, Payload
from stompconsole.delivery.specs import AckMode, RetryPolicy
from stompconsole.errors import Retry
from tests.delivery.running import Seen, held_on, running, send, take_all, take_dead_letters, take_rest
from tests.support.brokers import TestBroker
from tests.support.proxy import Proxy
from tests.support.waiting import until

Make = Callable[[Seen], Handler]


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


def raising(error: BaseException, *, asynchronous: bool = False) -> Make:
    def make(seen: Seen) -> Handler:
        def handler(payload: Payload) -> None:
            seen.keep(payload)
            if payload.body == "bad":
                raise error

        async def in_a_loop(payload: Payload) -> None:
            handler(payload)

        return in_a_loop if asynchronous else handler

    return make


@pytest.mark.parametrize(
    "error",
    [
        ValueError("a NUL \0 in it"),
        ValueError("half a character \ud800"),
        Unspeakable(),
        asyncio.CancelledError(),
        GeneratorExit(),
        StopIteration(),
        Retry(after="soon"),  # type: ignore[arg-type]
        Retry(after=float("nan")),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_failure_is_a_dead_letter_however_odd_it_is(
    any_broker: TestBroker, destination: str, error: BaseException
) -> None:
    broker = any_broker.broker_spec()
    send(broker, destination, ["bad", "good"])
    policy = RetryPolicy(first_delay_s=0.0)
    with running(broker, destination, raising(error), retry=policy) as run:
        if isinstance(error, Retry):
            until(lambda: run.seen.counts["retried"] >= 1, 20, "it is tried again")
        else:
            take_dead_letters(run.consumer, 1)
        until(lambda: "good" in run.seen.bodies, 20, "the next is handled")
        assert len(run.seen.states) == 1, "the session was not lost over it"


@pytest.mark.parametrize("error", [ValueError("no"), asyncio.CancelledError(), SystemExit(3), KeyboardInterrupt()])
def test_an_async_handler_may_raise_anything_and_the_next_one_runs(
    devbroker: TestBroker, destination: str, error: BaseException
) -> None:
    broker = devbroker.broker_spec()
    send(broker, destination, ["bad", "good", "bad", "good"])
    with running(broker, destination, raising(error, asynchronous=True)) as run:
        run.seen.wait(4)
        assert len(take_dead_letters(run.consumer, 2)) == 2
        run.wait_settled()


def test_async_handlers_run_side_by_side_each_in_its_threads_own_loop(devbroker: TestBroker, destination: str) -> None:
    together = threading.Barrier(3)
    loops: set[int] = set()

    def make(seen: Seen) -> Handler:
        async def handler(payload: Payload) -> None:
            loops.add(id(asyncio.get_running_loop()))
            together.wait(10)
            await asyncio.sleep(0)
            seen.keep(payload)

        return handler

    broker = devbroker.broker_spec()
    send(broker, destination, list(range(9)))
    with running(broker, destination, make, threads=3) as run:
        run.seen.wait(9)
    assert len(loops) == 3


@pytest.mark.parametrize("policy", [RetryPolicy(max_attempts=4, factor=1e300, max_delay_s=0.05)])
def test_a_policy_beyond_all_numbers_still_tries_again(
    devbroker: TestBroker, destination: str, policy: RetryPolicy
) -> None:
    broker = devbroker.broker_spec()
    send(broker, destination, ["bad"])
    with running(broker, destination, raising(ValueError("no")), retry=policy) as run:
        take_dead_letters(run.consumer, 1)
    assert run.seen.counts["retried"] == 3


@pytest.mark.parametrize("after", [float("inf"), 1e300, 1e12])
def test_a_retry_that_is_never_due_does_not_keep_others_waiting(
    devbroker: TestBroker, destination: str, after: float
) -> None:
    def make(seen: Seen) -> Handler:
        def handler(payload: Payload) -> None:
            seen.keep(payload)
            if payload.body == "never":
                raise Retry(after=after)
            if seen.bodies.count(payload.body) == 1:
                raise Retry(after=0.01)

        return handler

    broker = devbroker.broker_spec()
    send(broker, destination, ["never", "soon"])
    with running(broker, destination, make) as run:
        until(lambda: run.seen.bodies.count("soon") == 2, 10, "the other is tried again")
        until(lambda: run.runner.status.in_flight == 1, 10, "and settled")


def test_nack_and_then_an_exception_is_a_dead_letter_though_attempts_are_left(
    devbroker: TestBroker, destination: str
) -> None:
    def make(seen: Seen) -> Handler:
        def handler(payload: Payload) -> None:
            seen.keep(payload)
            payload.nack()
            raise KeyError("sku")

        return handler

    broker = devbroker.broker_spec()
    send(broker, destination, ["a"])
    with running(broker, destination, make, retry=RetryPolicy(max_attempts=5, first_delay_s=0.0)) as run:
        [(headers, _)] = take_dead_letters(run.consumer, 1)
    assert (headers[envelope.ERROR_TYPE], headers[envelope.ATTEMPTS]) == ("KeyError", "1")


def test_an_ack_by_hand_while_the_retry_is_awaited_counts_and_draining_is_not_confused(
    devbroker: TestBroker, destination: str
) -> None:
    def make(seen: Seen) -> Handler:
        def handler(payload: Payload) -> None:
            seen.keep(payload)
            raise Retry(after=60.0)

        return handler

    broker = devbroker.broker_spec()
    send(broker, destination, ["a", "b"])
    with running(broker, destination, make) as run:
        until(lambda: run.seen.counts["retried"] == 2, what="both wait")
        run.seen.payloads[0].ack()
        run.runner.drain()
        assert run.runner.join(5), "draining must not wait for what waits for its retry"
        assert take_all(broker, destination, 1) == ["b"]


def test_draining_finishes_the_message_in_hand_and_not_the_whole_batch(
    any_broker: TestBroker, destination: str
) -> None:
    release, begun = threading.Event(), threading.Event()
    broker = any_broker.broker_spec()
    send(broker, destination, list(range(20)))
    with running(broker, destination, held_on(release, begun, 3)) as run:
        assert begun.wait(20)
        run.runner.drain()
        until(lambda: run.runner.status.state.value == "draining", what="it drains")
        until(lambda: not run.runner._settlement.wants_more, what="intake has ended")  # type: ignore[union-attr]
        release.set()
        assert run.runner.join(10)
    assert run.seen.bodies == [0, 1, 2, 3]
    assert sorted(take_all(broker, destination, 16)) == list(range(4, 20))


def test_what_is_in_hand_when_the_session_is_lost_is_left_to_the_next(devbroker: TestBroker, destination: str) -> None:
    release, begun = threading.Event(), threading.Event()
    send(devbroker.broker_spec(), destination, list(range(10)))
    with Proxy(devbroker.endpoint()) as proxy:
        through = devbroker.broker_spec(endpoints=(proxy.endpoint,))
        with running(through, destination, held_on(release, begun, 0)) as run:
            assert begun.wait(20)
            proxy.cut()
            until(lambda: len(run.seen.states) > 1, what="the loss is noticed")
            release.set()
            until(lambda: set(run.seen.bodies) == set(range(10)), 20, "all are handled")
            run.wait_settled()
    assert sorted(run.seen.bodies) == [0, *range(10)], "only the one in the handler came twice"


@pytest.mark.long
def test_outcomes_are_told_while_a_batch_of_slow_messages_runs(devbroker: TestBroker, destination: str) -> None:
    release, begun = threading.Event(), threading.Event()

    def make(seen: Seen) -> Handler:
        def handler(payload: Payload) -> None:
            seen.keep(payload)
            if payload.body == 0:
                time.sleep(0.6)
            if payload.body == 1:
                begun.set()
                assert release.wait(30)

        return handler

    broker = devbroker.broker_spec()
    send(broker, destination, list(range(5)))
    with running(broker, destination, make) as run:
        assert begun.wait(20)
        assert run.seen.counts["acked"] == 1
        release.set()


def test_in_auto_mode_what_the_broker_has_forgotten_is_worked_off_before_the_end(
    any_broker: TestBroker, destination: str
) -> None:
    release, begun = threading.Event(), threading.Event()
    broker = any_broker.broker_spec()
    send(broker, destination, list(range(50)))
    with running(broker, destination, held_on(release, begun, 0), ack_mode=AckMode.AUTO, prefetch=10) as run:
        assert begun.wait(20)
        if any_broker.name == "rabbitmq":
            # It knows no prefetch in this mode, and drops what it has taken off the queue and not written yet when
            # UNSUBSCRIBE comes: an ERROR for each says that there is no such subscription.
            until(lambda: run.runner.status.in_flight == 50, what="all have arrived")
        run.runner.drain()
        until(lambda: run.runner.status.state.value == "draining", what="it drains")
        release.set()
        assert run.runner.join(10)
    rest = [payload.body for payload in take_rest(broker, destination)]
    # Not "once": ActiveMQ gives some of what it had given before UNSUBSCRIBE again.
    assert {*run.seen.bodies, *rest} == set(range(50))


def test_in_auto_mode_a_lost_connection_loses_nothing_that_has_arrived(devbroker: TestBroker, destination: str) -> None:
    release, begun = threading.Event(), threading.Event()
    send(devbroker.broker_spec(), destination, list(range(20)))
    with Proxy(devbroker.endpoint()) as proxy:
        through: Any = devbroker.broker_spec(endpoints=(proxy.endpoint,))
        with running(through, destination, held_on(release, begun, 0), ack_mode=AckMode.AUTO) as run:
            assert begun.wait(20)
            until(lambda: run.runner.status.in_flight == 20, what="all have arrived")
            proxy.cut()
            until(lambda: len(run.seen.states) > 1, what="the loss is noticed")
            send(devbroker.broker_spec(), destination, ["after"])
            release.set()
            until(lambda: len(run.seen.bodies) == 21, 20, "all are handled")
    assert run.seen.bodies == [*range(20), "after"]

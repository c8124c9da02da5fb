"""Samples of what was handled well: few, small, and of nothing else."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stompconsole.delivery import envelope, sampling
from stompconsole.delivery.handling import HandlerWork
from stompconsole.delivery.payload import Handler, Payload
from stompconsole.delivery.runner import SubscriptionRunner
from stompconsole.delivery.sampling import Sample, Sampler
from stompconsole.delivery.senders import Senders
from stompconsole.delivery.settlement import Delivery
from stompconsole.delivery.specs import ConsumerSpec, consume_spec
from tests.deadletters.making import Captures
from tests.delivery.running import Seen, send
from tests.support.brokers import TestBroker
from tests.support.waiting import until


def delivery(body: bytes = b"{}", **headers: str) -> Delivery:
    [made] = Captures.deliveries(None, [(headers, body)])  # type: ignore[arg-type]
    return made


class Clock:
    """A clock that stands until it is set."""

    def __init__(self) -> None:
        self.now_s = 1_000.0

    def __call__(self) -> float:
        return self.now_s


@given(st.lists(st.floats(0, 3), max_size=60))
def test_no_more_than_a_handful_wait_and_they_are_the_newest(pauses: list[float]) -> None:
    clock = Clock()
    sampler = Sampler(clock=clock)
    last_s, kept = -float("inf"), []
    for number, pause_s in enumerate(pauses):
        clock.now_s += pause_s
        sampler.offer(delivery(str(number).encode()))
        if clock.now_s >= last_s + sampling.EVERY_S:
            last_s = clock.now_s
            kept.append(str(number).encode())
    assert [sample.body for sample in sampler.take()] == kept[-sampling.MOST_WAITING :]
    assert sampler.empty


@given(st.lists(st.floats(0, 3), min_size=1, max_size=60))
def test_what_is_kept_lies_a_second_apart_and_a_pause_is_followed_by_a_sample(pauses: list[float]) -> None:
    clock = Clock()
    sampler = Sampler(clock=clock)
    last_s = -float("inf")
    for pause_s in pauses:
        clock.now_s += pause_s
        sampler.offer(delivery())
        kept = bool(sampler.take())
        assert kept == (clock.now_s >= last_s + sampling.EVERY_S)
        last_s = clock.now_s if kept else last_s


def test_many_threads_at_once_keep_one() -> None:
    sampler = Sampler(clock=Clock())
    together = threading.Barrier(8)

    def offer() -> None:
        together.wait(10)
        for _ in range(200):
            sampler.offer(delivery())

    threads = [threading.Thread(target=offer) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len(sampler.take()) == 1


def test_a_sample_is_small_however_large_the_message() -> None:
    sampler = Sampler()
    many = {f"h{number}": "v" for number in range(500)}
    sampler.offer(delivery(b"x" * (sampling.MOST_BYTES + 1), long="y" * 1_000_000, **many))
    [sample] = sampler.take()
    assert (sample.body, sample.size) == (None, sampling.MOST_BYTES + 1)
    assert len(sample.headers) == sampling.MOST_HEADERS
    assert len(sample.headers["long"]) == sampling.MOST_CHARS


def test_headers_that_a_handler_has_spoilt_are_text_again() -> None:
    sampler = Sampler()
    spoilt = delivery()
    spoilt.headers["tries"] = 3  # type: ignore[assignment]
    sampler.offer(spoilt)
    [sample] = sampler.take()
    assert sample.headers["tries"] == "3"


def sampled(
    broker: TestBroker, destination: str, make: Callable[[Seen], Handler], count: int, **headers: str
) -> tuple[Sample, ...]:
    """What a running consumer samples of so many messages."""
    seen, senders, sampler = Seen(), Senders(), Sampler()
    spec = ConsumerSpec(name="tested", broker=broker.broker_spec(), destination=destination, handler="tests.handler")
    work = HandlerWork(spec, make(seen), senders, "w:1", seen, sampler=sampler)
    runner = SubscriptionRunner(consume_spec(spec), work, seen)
    runner.start()
    try:
        send(broker.broker_spec(), destination, list(range(count)), **headers)
        until(lambda: len(seen.bodies) >= count, 20, "all are handled")
        until(lambda: runner.status.in_flight == 0, 20, "nothing is in flight")
    finally:
        runner.drain()
        assert runner.join(10)
        senders.close(2.0)
    return sampler.take()


def keeping(seen: Seen) -> Handler:
    return seen.keep


def by_hand(seen: Seen) -> Handler:
    def handler(payload: Payload) -> None:
        seen.keep(payload)
        payload.ack()

    return handler


def failing(seen: Seen) -> Handler:
    def handler(payload: Payload) -> None:
        seen.keep(payload)
        raise KeyError("sku")

    return handler


def refusing(seen: Seen) -> Handler:
    def handler(payload: Payload) -> None:
        seen.keep(payload)
        payload.nack()

    return handler


@pytest.mark.parametrize("make", [keeping, by_hand])
def test_what_is_handled_well_is_sampled_with_where_it_came_from(
    devbroker: TestBroker, destination: str, make: Callable[[Seen], Handler]
) -> None:
    [sample, *_] = sampled(devbroker, destination, make, 3, color="red")
    assert (sample.origin, sample.headers["color"], sample.body) == (destination, "red", b"0")


@pytest.mark.parametrize("make", [failing, refusing])
def test_what_fails_is_not_sampled(devbroker: TestBroker, destination: str, make: Callable[[Seen], Handler]) -> None:
    assert sampled(devbroker, destination, make, 3) == ()


def test_what_was_replayed_is_not_sampled(devbroker: TestBroker, destination: str) -> None:
    replayed = {envelope.REPLAY_ID: "7", envelope.DEAD_LETTER_ID: "x", envelope.CONSUMER: "tested"}
    assert sampled(devbroker, destination, keeping, 3, **replayed) == ()


@pytest.mark.slow
def test_an_offer_costs_the_way_of_a_message_next_to_nothing() -> None:
    """Figures of the whole way are the benchmark's; here, that one offer is a look at the clock."""
    sampler, one = Sampler(), delivery(b"x" * 1_000)
    sampler.offer(one)
    best = float("inf")
    for _ in range(5):
        started = time.perf_counter()
        for _ in range(10_000):
            sampler.offer(one)
        best = min(best, time.perf_counter() - started)
    assert best / 10_000 < 5e-6, f"{best / 10_000 * 1e6:.2f} µs"

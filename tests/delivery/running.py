"""A consumer run for a test: its broker, its handler, what it has been handed, and what others see on the wire."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from stompconsole.brokers import Dialect, dialect_for
from stompconsole.delivery.connecting import open_session
from stompconsole.delivery.gate import Gate
from stompconsole.delivery.handling import HandlerWork
from stompconsole.delivery.payload import Handler, Payload
from stompconsole.delivery.runner import SubscriptionRunner
from stompconsole.delivery.senders import Senders
from stompconsole.delivery.settlement import Delivery
from stompconsole.delivery.specs import BrokerSpec, ConsumerSpec, SubscriptionState, capture_spec, consume_spec
from tests.support.waiting import until

LAST = "the last"
"""What is sent to a queue to find out what is before it."""


class Seen:
    """A thread-safe list of what handlers were given, and the observer's counts."""

    def __init__(self) -> None:
        self.bodies: list[Any] = []
        self.payloads: list[Payload] = []
        self.counts = {"received": 0, "acked": 0, "retried": 0, "dead_lettered": 0}
        self.replays: list[tuple[str, str]] = []
        self.states: list[tuple[SubscriptionState, str]] = []
        self.breaker: list[str] = []
        self._lock = threading.Lock()

    def keep(self, payload: Payload) -> None:
        with self._lock:
            self.payloads.append(payload)
            self.bodies.append(payload.body)

    def received(self, count: int) -> None:
        with self._lock:
            self.counts["received"] += count

    def handled(self, *, acked: int, retried: int, dead_lettered: int, seconds: Sequence[float]) -> None:
        with self._lock:
            self.counts["acked"] += acked
            self.counts["retried"] += retried
            self.counts["dead_lettered"] += dead_lettered

    def replayed(self, dead_letter_id: str, replay_id: str) -> None:
        with self._lock:
            self.replays.append((dead_letter_id, replay_id))

    def changed(self, state: SubscriptionState, reason: str) -> None:
        with self._lock:
            self.states.append((state, reason))

    def wait(self, count: int, timeout_s: float = 20.0) -> None:
        until(lambda: len(self.bodies) >= count, timeout_s, lambda: f"{count} messages handled, not {len(self.bodies)}")


class Running:
    """A runner and what is around it."""

    def __init__(self, runner: SubscriptionRunner, seen: Seen, senders: Senders, consumer: ConsumerSpec) -> None:
        self.runner = runner
        self.seen = seen
        self.senders = senders
        self.consumer = consumer

    def wait_running(self) -> None:
        until(lambda: self.runner.status.state is SubscriptionState.RUNNING, 20, "the subscription runs")

    def wait_settled(self) -> None:
        until(lambda: self.runner.status.in_flight == 0, 20, "nothing is in flight")

    def end(self, timeout_s: float = 15.0) -> None:
        self.runner.drain()
        if not self.runner.join(timeout_s):
            self.runner.abort("the test is over")
            assert self.runner.join(5), "an aborted runner must end"


@contextmanager
def running(
    broker: BrokerSpec, destination: str, handler: Callable[[Seen], Handler] | None = None, **fields: Any
) -> Iterator[Running]:
    """Run a consumer; ``handler(seen)`` makes its handler, by default one that keeps what it sees."""
    seen, senders = Seen(), Senders()
    given = {"name": "tested", "handler": "tests.handler", **fields}
    consumer = ConsumerSpec(broker=broker, destination=destination, **given)
    function = handler(seen) if handler else seen.keep
    gate = Gate(consumer.breaker, seen.breaker.append)
    work = HandlerWork(consumer, function, senders, "w:1", seen, gate=gate)
    runner = SubscriptionRunner(consume_spec(consumer), work, seen, gate)
    runner.start()
    run = Running(runner, seen, senders, consumer)
    try:
        yield run
    finally:
        run.end()
        senders.close(2.0)


def held_on(release: threading.Event, begun: threading.Event, on: object) -> Callable[[Seen], Handler]:
    """Makes a handler that stops at one body until it is released."""

    def make(seen: Seen) -> Handler:
        def handler(payload: Payload) -> None:
            if payload.body == on:
                begun.set()
                assert release.wait(30)
            seen.keep(payload)

        return handler

    return make


def send(broker: BrokerSpec, destination: str, bodies: Sequence[Any], **headers: str) -> None:
    """Put messages there, persistent and confirmed; bytes go as they are, the rest as JSON."""
    session = open_session(broker)
    dialect = dialect_for(broker.kind, session.server)
    fields = {**dialect.send_headers(destination), **dialect.route(destination)}
    try:
        for future in [
            session.request("SEND", {**fields, **length, **headers}, data)
            for data in map(encoded, bodies)
            for length in ([{"content-length": str(len(data))}] if b"\0" in data else [{}])
        ]:
            future.result(10)
    finally:
        session.disconnect(5.0)


def encoded(body: Any) -> bytes:
    return body if isinstance(body, bytes) else json.dumps(body).encode()


class Keep:
    """Work that keeps what it is given, and ACKs it."""

    trouble = ""

    def __init__(self) -> None:
        self.kept: list[tuple[dict[str, str], bytes]] = []

    def process(self, batch: Sequence[Delivery], dialect: Dialect) -> None:
        for delivery in batch:
            self.kept.append((dict(delivery.headers), delivery.body))
            delivery.ack()

    def close(self) -> None:
        return


def take_dead_letters(consumer: ConsumerSpec, count: int) -> list[tuple[dict[str, str], bytes]]:
    """Take ``count`` messages out of the consumer's dead-letter destination."""
    work, seen = Keep(), Seen()
    runner = SubscriptionRunner(capture_spec(consumer), work, seen)
    runner.start()
    try:
        until(lambda: len(work.kept) >= count, 20, f"{count} dead letters in {consumer.dead_letters}")
        until(lambda: runner.status.in_flight == 0, 10, "dead letters settled")
    finally:
        runner.drain()
        assert runner.join(10)
    return work.kept


def take_all(broker: BrokerSpec, destination: str, count: int) -> list[Any]:
    """Take ``count`` messages out of a queue with a consumer that accepts anything."""
    with running(broker, destination) as other:
        other.seen.wait(count)
        other.wait_settled()
    return other.seen.bodies


def take_rest(broker: BrokerSpec, destination: str) -> list[Payload]:
    """Take what is in a queue, however much it is: up to a message that is sent there now."""
    send(broker, destination, [LAST])
    with running(broker, destination) as other:
        until(lambda: LAST in other.seen.bodies, 60, "what is sent last comes")
        other.wait_settled()
    return [payload for payload in other.seen.payloads if payload.body != LAST]


def is_empty(broker: BrokerSpec, destination: str) -> bool:
    """Whether nothing is in a queue."""
    return take_rest(broker, destination) == []

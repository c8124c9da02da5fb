"""Consuming from a broker that takes nothing: what succeeds goes on, what must be dead-lettered waits and says why."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import pytest

from stompconsole.brokers import Dialect
from stompconsole.deadletters.capture import capture_work
from stompconsole.delivery.observer import SilentObserver
from stompconsole.delivery.payload import Handler, Payload
from stompconsole.delivery.runner import SubscriptionRunner
from stompconsole.delivery.settlement import Delivery
from stompconsole.delivery.specs import capture_spec
from stompconsole.models import Consumer, DeadLetter, Failure
from tests.deadletters.making import make_broker, make_consumer
from tests.delivery.running import Running, Seen, is_empty, running, send
from tests.support.blockades import Blockade
from tests.support.waiting import until

pytestmark = [pytest.mark.broker, pytest.mark.django_db(transaction=True)]

GOOD = [f"good {number:02}" for number in range(20)]
BAD = [f"bad {number}" for number in range(5)]


class Counting:
    """The capture of dead letters, and how many messages it was given, copies included."""

    trouble = ""

    def __init__(self, consumer: Consumer) -> None:
        self.given = 0
        self._work = capture_work(consumer.pk, consumer.name, consumer.spec().dead_letters)

    def process(self, batch: Sequence[Delivery], dialect: Dialect) -> None:
        self.given += len(batch)
        self._work.process(batch, dialect)

    def close(self) -> None:
        self._work.close()


@contextmanager
def capturing(consumer: Consumer) -> Iterator[Counting]:
    work = Counting(consumer)
    runner = SubscriptionRunner(capture_spec(consumer.spec()), work, SilentObserver())
    runner.start()
    try:
        yield work
    finally:
        runner.drain()
        assert runner.join(15)


def bad_ones_fail(go_on: threading.Event) -> Callable[[Seen], Handler]:
    """A handler that fails on what is bad. After the first it waits: an alarm lets one SEND of a connection pass."""

    def make(seen: Seen) -> Handler:
        def handle(payload: Payload) -> None:
            if payload.body == BAD[1]:
                assert go_on.wait(30)
            if payload.body in BAD:
                raise ValueError(payload.body)
            seen.keep(payload)

        return handle

    return make


def test_what_succeeds_is_acked_and_what_fails_waits_with_the_reason_until_it_is_over(
    blockade: Blockade, destination: str
) -> None:
    consumer = make_consumer(make_broker(blockade.broker, receipt_timeout_s=1.0), destination=destination)
    spec = consumer.spec()
    send(spec.broker, destination, [*BAD, *GOOD])
    go_on = threading.Event()
    blockade.block()
    with (
        capturing(consumer) as captured,
        running(spec.broker, destination, bad_ones_fail(go_on), threads=2) as run,
    ):
        until(lambda: DeadLetter.objects.exists() or run.runner.status.reason, 20, "the first one has its fate")
        go_on.set()
        run.seen.wait(len(GOOD))
        status = until(
            lambda: status if blockade.words in (status := run.runner.status).reason else None, 20, "it says why"
        )
        assert f"dead letters can't be sent to {spec.dead_letters}" in status.reason
        until(
            lambda: waiting(run) == len(BAD) - DeadLetter.objects.count(), 5, "what waits is un-acked, all else is not"
        )
        assert waiting(run) > 0
        blockade.clear()
        until(lambda: DeadLetter.objects.count() == len(BAD), 30, "they come by themselves")
        run.wait_settled()
        until(lambda: run.runner.status.reason == "", 5, "all is well")
        assert run.seen.counts["dead_lettered"] == len(BAD)
    assert sorted(run.seen.bodies) == GOOD
    assert sorted(bytes(row.body).decode().strip('"') for row in DeadLetter.objects.all()) == BAD
    assert set(Failure.objects.values_list("attempts", "error_type")) == {(1, "ValueError")}
    assert Failure.objects.count() == captured.given == len(BAD), "each was sent once"
    assert is_empty(spec.broker, destination)


def waiting(run: Running) -> int:
    return run.runner.status.in_flight

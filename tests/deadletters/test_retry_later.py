"""A message that is tried again later: out of the worker, onto the console, and back, the whole way on each broker."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from stompconsole.deadletters.outcomes import record_processed
from stompconsole.delivery import envelope
from stompconsole.delivery.payload import Handler, Payload
from stompconsole.delivery.specs import ConsumerSpec, Parking, RetryPolicy
from stompconsole.errors import Retry
from stompconsole.models import DeadLetter, Failure, Replay
from tests.deadletters.capturing import capturing
from tests.deadletters.engines import running_engine
from tests.deadletters.making import make_broker, make_consumer
from tests.delivery.running import Seen, running, send, take_dead_letters
from tests.support.brokers import TestBroker
from tests.support.choosing import one_of_each_dialect
from tests.support.devbroker import running_devbroker
from tests.support.waiting import until

pytestmark = pytest.mark.django_db(transaction=True)


def failing(*errors: Exception) -> Callable[[Seen], Handler]:
    """A handler that raises these one after the other and then handles what it is given."""
    left = list(errors)

    def make(seen: Seen) -> Handler:
        def handle(payload: Payload) -> None:
            if left:
                raise left.pop(0)
            seen.keep(payload)

        return handle

    return make


def given(spec: ConsumerSpec) -> dict[str, Any]:
    return {"name": spec.name, "retry": spec.retry}


@pytest.mark.long
@one_of_each_dialect
def test_a_message_goes_through_its_steps_and_is_processed_in_the_end(any_broker: TestBroker, destination: str) -> None:
    consumer = make_consumer(
        any_broker, destination=destination, max_attempts=2, retry_first_delay_s=0.0, retry_later="1s, 1s"
    )
    spec = consumer.spec()
    errors = [KeyError(str(number)) for number in range(3)]
    with (
        capturing(consumer),
        running(spec.broker, destination, failing(*errors), **given(spec)) as run,
        running_engine(),
    ):
        send(spec.broker, destination, [{"sku": "a"}], color="red")
        run.seen.wait(1, 40)
        until(lambda: run.seen.replays, 10, "its outcome is told")
        until(lambda: not DeadLetter.objects.filter(state="replaying").exists(), 20, "its receipt is written down")
        record_processed(run.seen.replays)
    row = DeadLetter.objects.get()
    assert (row.state, row.origin, row.headers["color"]) == ("processed", destination, "red")
    assert sorted(Failure.objects.values_list("attempts", flat=True)) == [2, 3], "attempts add up"
    assert row.retry_step == 2
    assert run.seen.bodies == [{"sku": "a"}]
    assert run.seen.payloads[0].headers["color"] == "red"
    assert run.seen.counts["retried"] == 3
    assert run.seen.counts["dead_lettered"] == 0


@pytest.mark.long
@one_of_each_dialect
def test_what_fails_after_its_last_step_is_dead(any_broker: TestBroker, destination: str) -> None:
    consumer = make_consumer(any_broker, destination=destination, retry_later="1s")
    spec = consumer.spec()
    errors = [KeyError("first"), KeyError("last")]
    with (
        capturing(consumer),
        running(spec.broker, destination, failing(*errors), **given(spec)) as run,
        running_engine(),
    ):
        send(spec.broker, destination, [1])
        until(lambda: DeadLetter.objects.filter(state="dead").exists(), 40, "it is dead")
        run.wait_settled()
    row = DeadLetter.objects.get()
    assert (row.error_message, row.attempts, row.due_at) == ("'last'", 2, None)
    assert Replay.objects.get().items.get().state == "failed again"


@pytest.mark.long
@one_of_each_dialect
def test_a_handler_that_asks_for_a_long_wait_gets_it_outside_of_the_worker(
    any_broker: TestBroker, destination: str
) -> None:
    consumer = make_consumer(any_broker, destination=destination)
    spec = consumer.spec()
    policy = RetryPolicy(parking=Parking(above_s=0.5))
    asks = failing(Retry("the shop is closed", after=timedelta(seconds=1)))
    fields = {**given(spec), "retry": policy}
    with capturing(consumer), running(spec.broker, destination, asks, **fields) as run, running_engine():
        send(spec.broker, destination, ["now"])
        until(DeadLetter.objects.exists, 20, "it is on the console")
        row = DeadLetter.objects.get()
        assert (row.error_type, row.error_message, row.retry_step) == ("Retry", "the shop is closed", 0)
        run.seen.wait(1, 20)
    assert run.seen.bodies == ["now"]


def test_a_retry_that_is_parked_holds_nothing_of_the_prefetch(devbroker: TestBroker, destination: str) -> None:
    consumer = make_consumer(devbroker, destination=destination, prefetch=1, retry_later="1h")
    spec = consumer.spec()
    with running(spec.broker, destination, failing(KeyError("sku")), **given(spec), prefetch=1) as run:
        send(spec.broker, destination, ["waits", "goes on"])
        run.seen.wait(1)
        run.wait_settled()
        ((headers, body),) = take_dead_letters(run.consumer, 1)
    assert run.seen.bodies == ["goes on"]
    assert body == b'"waits"'
    told = envelope.read(headers)
    assert told is not None
    assert told.due_at is not None
    assert told.due_at - told.failed_at == pytest.approx(timedelta(hours=1), abs=timedelta(seconds=1))


def test_a_connection_that_is_cut_between_send_and_receipt_leaves_one_retry(destination: str) -> None:
    with running_devbroker() as wire:
        consumer = make_consumer(
            make_broker(port=wire.port, receipt_timeout_s=1.0), destination=destination, retry_later="1h"
        )
        spec = consumer.spec()
        send(spec.broker, destination, ["once"])
        wire.faults.drop_after(1, "SEND")
        with running(spec.broker, destination, failing(KeyError("sku")), **given(spec)) as run:
            until(lambda: len(wire.messages(spec.dead_letters)) == 2, 20, "it is sent again: nobody knew it was there")
            run.wait_settled()
        with capturing(consumer):
            until(DeadLetter.objects.exists, 20, "one is captured")
            until(lambda: not wire.messages(spec.dead_letters), 20, "both are taken")
    assert not wire.messages(spec.dead_letters)
    row = DeadLetter.objects.get()
    assert (row.state, row.retry_step) == ("scheduled", 1)
    assert Failure.objects.count() == 1


def test_where_capture_is_off_nothing_is_parked(devbroker: TestBroker, destination: str) -> None:
    consumer = make_consumer(devbroker, destination=destination, capture=False, retry_later="1h")
    spec = consumer.spec()
    assert replace(spec.retry, parking=None) == spec.retry
    with running(spec.broker, destination, failing(KeyError("sku")), **given(spec)) as run:
        send(spec.broker, destination, ["dead"])
        ((headers, _),) = take_dead_letters(run.consumer, 1)
    assert envelope.DUE_AT not in headers

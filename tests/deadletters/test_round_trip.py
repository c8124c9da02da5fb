"""A message fails, is captured, replayed and processed: the whole way, on each broker."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from django.db import connection

from stompconsole.deadletters import selection
from stompconsole.deadletters.outcomes import Progress, progress, record_processed
from stompconsole.delivery.payload import Handler, Payload
from stompconsole.delivery.specs import SubscriptionState
from stompconsole.models import DeadLetter, Failure
from tests.deadletters.capturing import capturing
from tests.deadletters.engines import running_engine
from tests.deadletters.making import make_broker, make_consumer, make_dead_letters
from tests.delivery.running import Seen, running, send, take_all
from tests.support.brokers import TestBroker
from tests.support.choosing import one_of_each_dialect
from tests.support.waiting import until

pytestmark = pytest.mark.django_db(transaction=True)


def picky(fixed: list[str]) -> Callable[[Seen], Handler]:
    """A handler that fails on what is not fixed yet."""

    def make(seen: Seen) -> Handler:
        def handle(payload: Payload) -> None:
            if payload.body["sku"] not in fixed:
                raise KeyError(payload.body["sku"])
            seen.keep(payload)

        return handle

    return make


@pytest.mark.long
@one_of_each_dialect
def test_a_message_fails_is_captured_replayed_and_processed(any_broker: TestBroker, destination: str) -> None:
    consumer = make_consumer(any_broker, destination=destination)
    spec = consumer.spec()
    fixed = ["a"]
    with capturing(consumer), running(spec.broker, destination, picky(fixed)) as run, running_engine():
        send(spec.broker, destination, [{"sku": "a"}, {"sku": "b"}, {"sku": "c"}], color="red")
        until(lambda: DeadLetter.objects.count() == 2, 20, "two dead letters captured")
        row = DeadLetter.objects.get(search_text__contains='"b"')
        assert (row.origin, row.error_type, row.headers["color"]) == (destination, "KeyError", "red")
        fixed.append("b")
        rows = list(DeadLetter.objects.values_list("pk", flat=True))
        replay = selection.replay_selected(rows, actor=None).replay
        assert replay is not None
        until(lambda: len(run.seen.replays) == 1, 20, "one is processed")
        until(lambda: Failure.objects.count() == 3, 20, "one has failed again")
        record_processed(run.seen.replays)
        replay.refresh_from_db()
        until(lambda: progress(replay) == Progress(total=2, processed=1, failed_again=1), 20, "both have an outcome")
    states = {json.loads(bytes(each.body))["sku"]: each.state for each in DeadLetter.objects.all()}
    assert states == {"b": "processed", "c": "dead"}
    assert run.seen.bodies == [{"sku": "a"}, {"sku": "b"}]


@pytest.mark.long
@one_of_each_dialect
@pytest.mark.parametrize(
    "body", [b"", b"\x00\xff\x00", b"[1, 2]\n\n", b"x" * 2_000_000], ids=["empty", "nul", "tail", "big"]
)
def test_a_replayed_body_is_the_same_byte_by_byte(any_broker: TestBroker, destination: str, body: bytes) -> None:
    consumer = make_consumer(any_broker, destination=destination, codec="bytes")
    spec = consumer.spec()
    fail_once = [KeyError("once")]

    def make(seen: Seen) -> Handler:
        def handle(payload: Payload) -> None:
            if fail_once:
                raise fail_once.pop()
            seen.keep(payload)

        return handle

    with capturing(consumer), running(spec.broker, destination, make, codec=spec.codec) as run, running_engine():
        send(spec.broker, destination, [body])
        until(DeadLetter.objects.exists, 20, "captured")
        assert bytes(DeadLetter.objects.get().body) == body
        selection.replay_selected([DeadLetter.objects.get().pk], actor=None)
        run.seen.wait(1)
        assert run.seen.bodies == [body]


def test_errors_of_rabbitmq_that_name_no_message_find_the_right_ones(rabbitmq: TestBroker, destination: str) -> None:
    consumer = make_consumer(make_broker(rabbitmq, receipt_timeout_s=2.0), destination=destination)
    bad = {
        f"{destination}/of.many.parts": "not a valid queue destination",  # the connection stays open
        "/exchange/missing/key": "no exchange 'missing'",  # the connection ends
    }
    rows = make_dead_letters(consumer, 30)
    for origin in bad:
        rows[10:10] = make_dead_letters(consumer, 1, origin=origin)
    replay = selection.replay_selected([row.pk for row in rows], actor=None).replay
    assert replay is not None
    with running_engine():
        until(lambda: progress(replay) == Progress(total=32, sent=30, skipped=2), 40, "all but two are sent")
    # Others may say that they were in flight when the connection ended.
    notes = dict(replay.items.filter(state="skipped").values_list("dead_letter__origin", "note"))
    assert notes.keys() == bad.keys()
    assert all(words in notes[origin] for origin, words in bad.items())
    bodies = take_all(consumer.broker.spec(), destination, 30)
    assert set(bodies) == set(range(30))


def test_while_the_database_refuses_dead_letters_stay_with_the_broker(devbroker: TestBroker, destination: str) -> None:
    consumer = make_consumer(devbroker, destination=destination)
    spec = consumer.spec()
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE stompconsole_failure RENAME TO gone")
    with capturing(consumer) as capture:
        send(spec.broker, spec.dead_letters, [{"number": number} for number in range(5)])
        until(lambda: capture.status.state is SubscriptionState.BACKING_OFF, 20, "it backs off")
        assert "they stay with the broker" in capture.status.reason
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE gone RENAME TO stompconsole_failure")
        until(lambda: DeadLetter.objects.count() == 5, 30, "they are captured by and by")
    assert Failure.objects.count() == 5

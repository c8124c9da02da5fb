"""Bodies kept out of the database: messages wait in a holding queue, are replayed or dropped from there, never lost."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import override_settings

from stompconsole.deadletters import editing, exchange, held_replaying, holding, selection
from stompconsole.deadletters.editing import Change
from stompconsole.deadletters.outcomes import progress
from stompconsole.deadletters.plans import Plan
from stompconsole.delivery import envelope
from stompconsole.delivery.specs import Codec, SubscriptionState, holding_destination
from stompconsole.errors import WorkFailed
from stompconsole.models import Consumer, DeadLetter, DeadLetterState, Failure, Replay, ReplayItem
from tests.deadletters.capturing import capturing
from tests.deadletters.dumping import dumped
from tests.deadletters.engines import running_engine, start_engine
from tests.deadletters.making import Captures, died, make_consumer, make_worker
from tests.delivery.running import running, send, take_all
from tests.support.brokers import TestBroker
from tests.support.choosing import one_of_each_dialect
from tests.support.waiting import until

pytestmark = pytest.mark.django_db(transaction=True)

SECRET = "hunter2-of-the-card"


@pytest.fixture(autouse=True)
def _bodies_are_not_stored() -> Iterator[None]:
    with override_settings(STOMPCONSOLE={"STORE_BODIES": False}):
        yield


def dead(consumer: Consumer, bodies: list[Any], **fields: Any) -> list[DeadLetter]:
    """Captured dead letters of a consumer; in the order of the bodies. ``fields`` are of those that are bytes."""
    spec = consumer.spec()
    ids = []
    with capturing(consumer):
        for body in bodies:
            # Those that go to the end of the queue must stay there, whatever their priority.
            more = fields if isinstance(body, bytes) else {"extra": {"priority": "9"}}
            headers = died(origin=consumer.destination, consumer=consumer.name, **more)
            headers.pop("message-id")
            ids.append(uuid.UUID(headers[envelope.DEAD_LETTER_ID]))
            send(spec.broker, spec.dead_letters, [body], **headers)
        until(lambda: DeadLetter.objects.filter(pk__in=ids).count() == len(ids), 20, "all are captured")
    return [DeadLetter.objects.get(pk=pk) for pk in ids]


def replayed(ids: list[uuid.UUID]) -> Replay:
    replay = selection.replay_selected(ids, actor=None).replay
    assert replay is not None
    return replay


def wait_done(replay: Replay) -> None:
    until(lambda: Replay.objects.get(pk=replay.pk).state == "done", 60, "the replay is done")


def test_the_holding_queue_is_named_after_the_dead_letter_queue() -> None:
    assert holding_destination("/queue/DLQ.orders") == "/queue/HELD.orders"
    assert holding_destination("/amq/queue/DLQ.orders") == "/queue/HELD.orders"
    assert holding_destination("/queue/graveyard") == "/queue/HELD.graveyard"


@one_of_each_dialect
def test_nothing_of_a_body_is_stored_and_it_is_replayed_byte_by_byte(any_broker: TestBroker, destination: str) -> None:
    consumer = make_consumer(any_broker, destination=destination)
    body = f'{{ "card": "{SECRET}",\n "n": 1.50 }}'.encode()
    others = [{"number": number} for number in range(7)]
    quoting = {"error_message": f"no card '{SECRET}'", "traceback": f"KeyError: '{SECRET}'"}
    letters = dead(consumer, [*others[:4], body, *others[4:]], **quoting)
    letter = letters[4]
    assert SECRET not in dumped()
    assert (bytes(letter.body), letter.document, letter.sealed) == (b"", None, None)
    assert letter.body_size == len(body)
    assert (letter.held, letter.held_on) == (consumer.spec().dead_letters.replace("DLQ.", "HELD."), consumer.broker)
    assert letter.error_message == "no card '[redacted]'"
    replay = replayed([letter.pk, letters[6].pk])
    with running_engine():
        wait_done(replay)
    raw = take_raw(consumer, destination, 2)
    assert sorted(raw) == sorted([body, json.dumps(others[5]).encode()]), "two, and exactly as they came"
    left = [json.loads(each) for each in take_raw(consumer, letter.held, 6)]
    assert sorted(each["number"] for each in left) == [0, 1, 2, 3, 4, 6], "the others are where they were"
    assert DeadLetter.objects.filter(state=DeadLetterState.SENT).count() == 2


def take_raw(consumer: Consumer, destination: str, count: int) -> list[bytes]:
    with running(consumer.spec().broker, destination, codec=Codec.BYTES) as other:
        other.seen.wait(count)
        other.wait_settled()
    return other.seen.bodies


@pytest.mark.long
def test_more_than_a_broker_hands_out_at_once_are_found_at_any_depth(devbroker: TestBroker, destination: str) -> None:
    consumer = make_consumer(devbroker, destination=destination)
    letters = bulk(consumer, 700)
    wanted = letters[5:650:13]
    replay = replayed([letter.pk for letter in wanted])
    with running_engine():
        wait_done(replay)
    assert progress(replay).sent == len(wanted)
    sent = [body["number"] for body in take_all(consumer.spec().broker, destination, len(wanted))]
    left = [body["number"] for body in take_all(consumer.spec().broker, wanted[0].held, 700 - len(wanted))]
    assert sorted(sent + left) == list(range(700))


def bulk(consumer: Consumer, count: int) -> list[DeadLetter]:
    spec = consumer.spec()
    with capturing(consumer):
        send(spec.broker, spec.dead_letters, [{"number": number} for number in range(count)])
        until(lambda: DeadLetter.objects.count() == count, 30, "all are captured")
    DeadLetter.objects.update(origin=consumer.destination)
    return list(DeadLetter.objects.order_by("captured_at", "pk"))


@pytest.mark.long
def test_what_fails_again_is_held_again_and_its_old_copy_is_not_sent(devbroker: TestBroker, destination: str) -> None:
    consumer = make_consumer(devbroker, destination=destination)
    spec = consumer.spec()
    with capturing(consumer), running(spec.broker, destination, _always_failing, name=consumer.name) as run:
        send(spec.broker, destination, [{"number": 1}])
        until(DeadLetter.objects.exists, 20, "captured")
        with running_engine():
            for death in (2, 3):
                until(lambda: DeadLetter.objects.get().state == DeadLetterState.DEAD, 20, "dead again")
                replayed([DeadLetter.objects.get().pk])
                until(lambda death=death: Failure.objects.count() == death, 30, "it fails again")  # type: ignore[misc]
    assert run.seen.bodies == [{"number": 1}] * 3
    assert len(take_all(spec.broker, DeadLetter.objects.get().held, 1)) == 1


def _always_failing(seen: Any) -> Any:
    def handle(payload: Any) -> None:
        seen.keep(payload)
        raise KeyError("again")

    return handle


def copies(letter: DeadLetter, count: int, **headers: str) -> None:
    """More copies in its holding queue, as crashes leave them."""
    assert letter.held_on is not None
    names = {
        envelope.DEAD_LETTER_ID: str(letter.pk),
        envelope.HELD_COPY: str(letter.held_copy),
        envelope.HELD_AT: datetime.now(UTC).isoformat(),
        **headers,
    }
    send(letter.held_on.spec(), letter.held, [{"copy": number} for number in range(count)], **names)


@pytest.mark.long
def test_a_second_copy_of_what_was_sent_is_dropped(devbroker: TestBroker, destination: str) -> None:
    consumer = make_consumer(devbroker, destination=destination)
    first, second = dead(consumer, [{"number": 1}, {"number": 2}])
    copies(first, 2)
    for letter in (first, second):
        replay = replayed([letter.pk])
        with running_engine():
            wait_done(replay)
    assert take_all(consumer.spec().broker, destination, 2) == [{"number": 1}, {"number": 2}]
    assert queue_length(devbroker, first.held) == 0


def test_copies_without_a_row_are_dropped_once_they_are_old(devbroker: TestBroker, destination: str) -> None:
    consumer = make_consumer(devbroker, destination=destination)
    purged, letter = dead(consumer, [{"number": 1}, {"number": 2}])
    old = (datetime.now(UTC) - timedelta(hours=2)).isoformat()
    copies(purged, 2, **{envelope.HELD_AT: old})
    purged.delete()
    replay = replayed([letter.pk])
    with running_engine():
        wait_done(replay)
    assert queue_length(devbroker, letter.held) == 1, "the one that may be about to get a row stays"


def queue_length(broker: TestBroker, destination: str) -> int:
    """How many messages are in a queue, taken out."""
    consumer = make_consumer(broker, destination=destination)
    with running(consumer.spec().broker, destination) as run:
        send(consumer.spec().broker, destination, [{"last": True}])
        until(lambda: {"last": True} in run.seen.bodies, 20, "all have come")
        return len(run.seen.bodies) - 1


@pytest.mark.long
def test_a_message_that_is_gone_is_skipped_with_where_it_was_looked_for(
    devbroker: TestBroker, destination: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(held_replaying, "PASSES_IN_VAIN", 1)
    consumer = make_consumer(devbroker, destination=destination)
    [letter] = dead(consumer, [{"number": 1}])
    assert queue_length(devbroker, letter.held) == 1
    replay = replayed([letter.pk])
    with running_engine():
        wait_done(replay)
    item = ReplayItem.objects.get()
    assert (item.state, item.note) == (
        "skipped",
        f"Its message was not found in {letter.held} on {consumer.broker.name}: is it still there?",
    )
    letter.refresh_from_db()
    assert letter.state == DeadLetterState.DEAD


def test_the_message_is_held_before_its_row_is_there(devbroker: TestBroker, destination: str) -> None:
    consumer = make_consumer(devbroker, destination=destination)
    spec = consumer.spec()
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE stompconsole_failure RENAME TO gone")
    with capturing(consumer) as capture:
        send(spec.broker, spec.dead_letters, [{"number": 1}])
        until(lambda: capture.status.state is SubscriptionState.BACKING_OFF, 20, "it backs off")
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE gone RENAME TO stompconsole_failure")
        until(DeadLetter.objects.exists, 30, "captured by and by")
    assert queue_length(devbroker, DeadLetter.objects.get().held) >= 1


def test_without_a_way_to_hold_it_a_message_stays_in_the_dead_letter_queue() -> None:
    consumer = make_consumer()
    with pytest.raises(WorkFailed, match="bodies are not to be stored"):
        Captures(consumer).give((died(), b"x"))
    assert not DeadLetter.objects.exists()


@override_settings(STOMPCONSOLE={})
def test_one_consumer_alone_may_keep_bodies_out(devbroker: TestBroker, destination: str) -> None:
    keeping = make_consumer(devbroker, destination=destination)
    refusing = make_consumer(keeping.broker, destination=f"{destination}.other", store_body=False)
    [letter] = dead(keeping, [{"number": 1}])
    assert (bytes(letter.body), letter.held) == (b'{"number": 1}', "")
    [letter] = dead(refusing, [{"number": 1}])
    assert (bytes(letter.body), letter.held) == (b"", holding_destination(refusing.spec().dead_letters))


def held_letter(consumer: Consumer) -> DeadLetter:
    Consumer.objects.filter(pk=consumer.pk).update(store_body=True)
    with override_settings(STOMPCONSOLE={}):
        headers = died(consumer=consumer.name)
        Captures(consumer).give((headers, b""))
    DeadLetter.objects.update(held="/queue/HELD.orders", held_on=consumer.broker, body_size=10)
    return DeadLetter.objects.get()


def test_an_edit_is_refused_and_says_where_the_message_is() -> None:
    letter = held_letter(make_consumer())
    assert letter.held_on is not None
    planned = editing.edit_and_replay(letter.pk, Change(headers={}), actor=None)
    assert planned.refusal.endswith(f"the message waits in /queue/HELD.orders on broker {letter.held_on.name}.")
    assert holding.where(letter) in planned.refusal


def test_what_is_imported_is_never_sent_without_its_body() -> None:
    consumer = make_consumer(name="orders")
    letter = held_letter(consumer)
    [line] = exchange.lines(DeadLetter.objects.all())
    assert json.loads(line)["held"] == "/queue/HELD.orders"
    letter.delete()
    exchange.read([line], actor=None)
    back = DeadLetter.objects.get()
    assert (back.held, back.held_on) == ("/queue/HELD.orders", consumer.broker)


@pytest.mark.slow
def test_a_worker_that_is_killed_in_a_pass_loses_nothing(devbroker: TestBroker, destination: str) -> None:
    consumer = make_consumer(devbroker, destination=destination)
    letters = bulk(consumer, 300)
    wanted = letters[::3]
    replay = selection.replay_selected([letter.pk for letter in wanted], actor=None, plan=Plan(rate=60.0)).replay
    assert replay is not None
    with start_engine(make_worker().pk, lease_s=2.0) as process:
        process.wait_for_line("running", 30)
        until(lambda: progress(replay).sent >= 20, 30, "it is in the middle of a pass")
        process.kill()
    assert progress(replay).sent < len(wanted)
    begun = sum(len(flight.item_ids) for flight in replay.flights.all())
    with running_engine():
        wait_done(replay)
    assert progress(replay).sent == len(wanted)
    sent = everything_in(consumer, destination)
    left = everything_in(consumer, letters[0].held)
    assert {*sent, *left} == set(range(300)), "none is lost"
    assert len(set(sent)) == len(wanted)
    assert len(sent) <= len(wanted) + begun, "what is repeated is what was not written down"


def everything_in(consumer: Consumer, destination: str) -> list[int]:
    """The numbers of all messages in a queue, taken out."""
    broker = consumer.spec().broker
    with running(broker, destination) as run:
        send(broker, destination, [{"number": -1}])
        until(lambda: {"number": -1} in run.seen.bodies, 20, "all have come")
        return [body["number"] for body in run.seen.bodies if body["number"] >= 0]


@pytest.mark.long
def test_a_worker_that_stops_in_a_pass_repeats_nothing(devbroker: TestBroker, destination: str) -> None:
    consumer = make_consumer(devbroker, destination=destination)
    letters = bulk(consumer, 150)
    replay = selection.replay_selected([letter.pk for letter in letters], actor=None, plan=Plan(rate=60.0)).replay
    assert replay is not None
    with running_engine():
        until(lambda: progress(replay).sent >= 20, 30, "it is in the middle of a pass")
    assert progress(replay).sent < 150
    with running_engine():
        wait_done(replay)
    assert sorted(everything_in(consumer, destination)) == list(range(150))
    assert everything_in(consumer, letters[0].held) == []

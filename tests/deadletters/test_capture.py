"""Capture: rows first, ACKs after; once for ours, at least once for the broker's; one bad message holds up no other."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from django.db import connection, models
from django.test.utils import CaptureQueriesContext

from stompconsole.deadletters import storing
from stompconsole.deadletters.captured import BY_THE_BROKER
from stompconsole.deadletters.locks import one_writer
from stompconsole.deadletters.storable import SEPARATOR
from stompconsole.delivery import envelope
from stompconsole.delivery.specs import capture_spec
from stompconsole.errors import WorkFailed
from stompconsole.models import Consumer, DeadLetter, DeadLetterState, Failure, FailureGroup
from tests.deadletters.making import ACTIVEMQ, DLQ, RABBITMQ, Captures, died, make_consumer, make_dead_letters, ours

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def consumer() -> Consumer:
    return make_consumer()


def body_part(row: DeadLetter) -> str:
    """What is searched of the body."""
    return row.search_text.partition(SEPARATOR)[0]


def test_a_dead_letter_of_ours_becomes_a_row_with_its_failure_and_is_acked(consumer: Consumer) -> None:
    headers = died(extra={"correlation-id": "c-1", "content-type": "application/json", "color": "red"})
    assert Captures(consumer).give((headers, b'{"sku": 1}')) == [0]
    dead_letter_id, failure_id = ours(headers)
    row = DeadLetter.objects.get(pk=dead_letter_id)
    assert (row.consumer, row.consumer_name, row.state) == (consumer, consumer.name, DeadLetterState.DEAD)
    assert (row.origin, row.destination, row.message_id) == ("/queue/orders", DLQ, "original-1")
    assert (row.correlation_id, row.content_type) == ("c-1", "application/json")
    assert (row.error_type, row.error_message, row.attempts) == ("builtins.KeyError", "'sku'", 3)
    assert (bytes(row.body), row.body_size, body_part(row)) == (b'{"sku": 1}', 10, '{"sku": 1}')
    assert row.headers["color"] == "red"
    assert row.first_failed_at == datetime(2026, 1, 1, 12, 0, tzinfo=UTC)
    failure = Failure.objects.get()
    assert (failure.pk, failure.dead_letter_id, failure.handler) == (failure_id, row.pk, "orders.handlers.price_of")


def test_a_batch_takes_few_queries_however_large(consumer: Consumer) -> None:
    captures = Captures(consumer)
    with CaptureQueriesContext(connection) as few:
        captures.give(*[(died(), b"x") for _ in range(2)])
    with CaptureQueriesContext(connection) as many:
        captures.give(*[(died(), b"x") for _ in range(20)])
    assert DeadLetter.objects.count() == 22
    assert len(many) <= len(few) + 4, "rows are inserted in bulk"


def test_many_groups_that_fail_once_more_take_no_more_queries_than_one(consumer: Consumer) -> None:
    captures = Captures(consumer)
    kinds = [f"orders.errors.E{letter}" for letter in "abcdefghijkl"]
    at = datetime(2026, 1, 1, 13, 0, tzinfo=UTC)
    captures.give(*[(died(error_type=kind), b"x") for kind in kinds])
    with CaptureQueriesContext(connection) as one:
        captures.give((died(error_type=kinds[0], failed_at=at), b"x"))
    with CaptureQueriesContext(connection) as all_of_them:
        captures.give(*[(died(error_type=kind, failed_at=at), b"x") for kind in kinds[1:]])
    assert len(all_of_them) == len(one)
    assert {*FailureGroup.objects.values_list("last_failed_at", flat=True)} == {at}


def test_the_traceback_of_ours_is_kept_in_its_column_and_not_among_the_headers_again(consumer: Consumer) -> None:
    foreign = {"message-id": "m-2", envelope.TRACEBACK: "of somebody else"}
    Captures(consumer).give((died(traceback="Traceback …"), b"x"), (foreign, b"x"))
    kept = {row.traceback: row.headers.get(envelope.TRACEBACK) for row in DeadLetter.objects.all()}
    assert kept == {"Traceback …": None, "": "of somebody else"}


@pytest.mark.parametrize(("prefetch", "in_memory"), [(1, 12), (10, 120), (100, 1_200), (5_000, 1_200)])
def test_a_capture_has_a_batch_for_each_thread_and_one_on_its_way_as_far_as_messages_are_small(
    consumer: Consumer, prefetch: int, in_memory: int
) -> None:
    spec = capture_spec(replace(consumer.spec(), prefetch=prefetch))
    assert (spec.threads, spec.prefetch) == (2, in_memory)
    assert spec.prefetch >= (spec.threads + 1) * spec.batch


@pytest.mark.rows
def test_two_threads_take_turns_only_where_the_database_has_one_writer(
    consumer: Consumer, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = threading.Barrier(2)
    together: list[int] = []

    def store(*_: object) -> None:
        with suppress(threading.BrokenBarrierError):
            together.append(both.wait(timeout=0.3 if one_writer() else 30.0))

    monkeypatch.setattr(storing, "store", store)
    captures = [Captures(consumer), Captures(consumer)]
    threads = [threading.Thread(target=_give_one, args=(each,)) for each in captures]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(40)
    # Where there is one writer, the other would have found the database busy and slept.
    assert len(together) == (0 if one_writer() else 2)


def _give_one(captures: Captures) -> None:
    try:
        captures.give((died(), b"x"))
    finally:
        captures.work.close()


def test_a_dead_letter_of_ours_that_is_delivered_again_stays_one_row(consumer: Consumer) -> None:
    headers = died()
    captures = Captures(consumer)
    captures.give((headers, b"x"))
    DeadLetter.objects.update(state=DeadLetterState.DISCARDED)
    assert captures.give((headers, b"x"), (headers, b"x")) == [0, 1]
    assert DeadLetter.objects.get().state == DeadLetterState.DISCARDED, "no new death, nothing changes"
    assert Failure.objects.count() == 1


def test_the_same_delivery_twice_in_one_batch_stays_one_row(consumer: Consumer) -> None:
    headers = died()
    assert Captures(consumer).give((headers, b"x"), (headers, b"x")) == [0, 1]
    assert (DeadLetter.objects.count(), Failure.objects.count()) == (1, 1)


def test_a_new_death_of_a_known_message_brings_its_row_up_to_date(consumer: Consumer) -> None:
    first = died(error_type="builtins.KeyError")
    captures = Captures(consumer)
    captures.give((first, b"first body"))
    second = died(
        dead_letter_id=first[envelope.DEAD_LETTER_ID],
        error_type="builtins.ValueError",
        attempts=7,
        failed_at=datetime(2026, 1, 2, tzinfo=UTC),
        extra={"content-type": "text/plain"},
    )
    captures.give((second, b"second body"))
    row = DeadLetter.objects.get()
    assert (row.error_type, row.attempts, row.content_type) == ("builtins.ValueError", 7, "text/plain")
    assert (bytes(row.body), row.body_size, body_part(row)) == (b"second body", 11, "second body")
    assert row.first_failed_at == datetime(2026, 1, 1, 12, 0, tzinfo=UTC), "since when it fails stays"
    assert Failure.objects.count() == 2


def test_two_deaths_of_a_new_message_in_one_batch_leave_the_later_one_in_the_row(consumer: Consumer) -> None:
    late = died(error_type="Late", failed_at=datetime(2026, 1, 3, tzinfo=UTC))
    early = died(dead_letter_id=late[envelope.DEAD_LETTER_ID], error_type="Early")
    Captures(consumer).give((late, b"late"), (early, b"early"))
    assert DeadLetter.objects.get().error_type == "Late"
    assert Failure.objects.count() == 2


def test_a_dead_letter_of_the_broker_says_what_the_broker_says(consumer: Consumer) -> None:
    headers = {
        "message-id": "ID:1",
        "original-destination": "/queue/orders",
        "dlqDeliveryFailureCause": "java.lang.Throwable: Message Expired.",
        "originalExpiration": "0",
        "timestamp": "1700000000000",
        "color": "red",
    }
    Captures(consumer, ACTIVEMQ).give((headers, b"x"))
    row = DeadLetter.objects.get()
    assert (row.origin, row.message_id, row.error_type) == ("/queue/orders", "ID:1", BY_THE_BROKER)
    assert "Message Expired" in row.error_message
    assert "timestamp" not in row.error_message
    assert "originalExpiration" not in row.error_message


def test_a_dead_letter_of_rabbitmq_names_its_queue_and_reason(consumer: Consumer) -> None:
    headers = {"message-id": "T_1", "x-first-death-queue": "orders", "x-first-death-reason": "rejected"}
    Captures(consumer, RABBITMQ).give((headers, b"x"))
    row = DeadLetter.objects.get()
    assert row.origin == "/queue/orders"
    assert "x-first-death-reason: rejected" in row.error_message


def test_a_message_put_there_by_hand_has_no_origin_and_no_reason(consumer: Consumer) -> None:
    Captures(consumer).give(({"message-id": "1"}, b"x"))
    row = DeadLetter.objects.get()
    assert (row.origin, row.error_message) == ("", "The broker does not say why.")


def test_a_stable_message_id_recognises_a_dead_letter_of_the_broker(consumer: Consumer) -> None:
    captures = Captures(consumer, ACTIVEMQ)
    message = ({"message-id": "ID:1", "original-destination": "/queue/orders"}, b"x")
    other_copy = ({"message-id": "ID:1", "original-destination": "/queue/Consumer.b.orders"}, b"x")
    captures.give(message)
    assert captures.give(message, other_copy) == [0, 1]
    assert DeadLetter.objects.count() == 2, "the copy of another queue is another dead letter"


def test_without_a_stable_message_id_nothing_of_the_broker_is_taken_for_known(consumer: Consumer) -> None:
    captures = Captures(consumer, RABBITMQ)
    for _ in range(2):
        captures.give(({"message-id": "T_1"}, b"x"))
    assert DeadLetter.objects.count() == 2


def test_a_replayed_message_that_the_broker_gives_up_on_comes_back_to_its_row(consumer: Consumer) -> None:
    first = died()
    captures = Captures(consumer, ACTIVEMQ)
    captures.give((first, b"x"))
    back = {"message-id": "ID:9", envelope.DEAD_LETTER_ID: first[envelope.DEAD_LETTER_ID], envelope.REPLAY_ID: "1"}
    captures.give((back, b"x"))
    row = DeadLetter.objects.get()
    assert (row.error_type, row.origin) == (BY_THE_BROKER, "/queue/orders"), "the origin that was known is kept"
    assert Failure.objects.count() == 2


def test_a_dead_letter_belongs_to_the_consumer_it_names(consumer: Consumer) -> None:
    other = make_consumer(consumer.broker, name="invoices", destination="/queue/invoices")
    Captures(consumer).give((died(consumer="invoices"), b"x"), (died(consumer="renamed-since"), b"y"))
    owners = {bytes(row.body): row.consumer for row in DeadLetter.objects.select_related("consumer")}
    assert owners == {b"x": other, b"y": consumer}


def test_a_consumer_deleted_meanwhile_does_not_hold_its_dead_letters_up(consumer: Consumer) -> None:
    captures = Captures(consumer)
    name = consumer.name
    consumer.delete()
    assert captures.give((died(), b"x")) == [0]
    row = DeadLetter.objects.get()
    assert (row.consumer, row.consumer_name) == (None, name)


@pytest.mark.parametrize(
    "body", [b"", b"\x00\xff\xfe\x00", b"K\xe4se", b"\xed\xa0\x80", b"x" * 5_000_000], ids=lambda body: repr(body[:8])
)
def test_any_body_is_kept_byte_by_byte(consumer: Consumer, body: bytes) -> None:
    Captures(consumer).give((died(), body))
    row = DeadLetter.objects.get()
    assert bytes(row.body) == body
    assert row.body_size == len(body)
    assert len(body_part(row)) <= 4096
    assert "\0" not in row.search_text


def test_escaped_characters_of_a_json_body_are_found_as_themselves(consumer: Consumer) -> None:
    Captures(consumer).give((died(), rb'{"name": "M\u00fcller \ud83d\ude00 \ud800 \u0000"}'))
    assert "Müller 😀" in DeadLetter.objects.get().search_text


@pytest.mark.parametrize(
    ("body", "document"),
    [
        (b'{"n": 123456789012345678901234567890}', {"n": 123456789012345678901234567890}),
        (b'{"n": 2.5e-3, "t": true, "e": null}', {"n": 0.0025, "t": True, "e": None}),
        ('{"name": "Müller"}'.encode(), {"name": "Müller"}),
        (rb'{"name": "M\u00fcller"}', {"name": "Müller"}),
        ('["\N{GRINNING FACE}"]'.encode("utf-16"), ["\N{GRINNING FACE}"]),
        (b'{"n": NaN}', None),
        (b'{"n": 1e999}', None),
        ('{"ü": -Infinity}'.encode(), None),
        (rb'{"name": "a\u0000b"}', None),
        (rb'{"name": "\ud800"}', None),
        (b'{"n": 1} and more', None),
        (b"null", None),
    ],
)
def test_a_json_body_can_be_searched_by_path_unless_a_column_can_t_hold_it(
    consumer: Consumer, body: bytes, document: object
) -> None:
    Captures(consumer).give((died(), body))
    assert DeadLetter.objects.get().document == document


def test_headers_of_any_kind_are_kept(consumer: Consumer) -> None:
    odd = {"a:b": "c\0d", "": "empty", "ü\ud800": "\udcff", "x" * 300: "y" * 9_000, "stompconsole-new": "1"}
    Captures(consumer).give((died(extra=odd), b"x"))
    kept = DeadLetter.objects.get().headers
    assert kept["a:b"] == "c\N{REPLACEMENT CHARACTER}d"
    assert kept["x" * 300] == "y" * 9_000
    assert kept["ü?"] == "?"
    assert kept[""] == "empty"


def test_values_of_ours_that_make_no_sense_are_stored_all_the_same(consumer: Consumer) -> None:
    headers = died(error_type="e" * 400, worker="w" * 400, attempts=2**40)
    headers |= {
        envelope.DEAD_LETTER_ID: "no uuid",
        envelope.ERROR_MESSAGE: "a\0b",
        envelope.FAILURE_ID: "neither",
        envelope.FAILED_AT: "0001-01-01T00:00:00+23:59",
        envelope.FIRST_FAILED_AT: "9999-12-31T23:59:59-23:59",
        envelope.REPLAY_ID: "9" * 5_000,
        envelope.ATTEMPTS: "9" * 5_000,
        envelope.MESSAGE_ID: "m" * 900,
        envelope.CONSUMER: "c" * 90,
        envelope.HANDLER: "h" * 900,
        envelope.ORIGIN: "/queue/" + "o" * 900,
    }
    captures = Captures(consumer)
    assert captures.give((headers, b"x")) == [0]
    assert captures.give((headers, b"x")) == [0]
    row = DeadLetter.objects.get()
    assert row.origin == "", "cut short it would name another queue"
    assert row.error_message == "a\N{REPLACEMENT CHARACTER}b"
    assert row.failed_at.year > 2000


@pytest.fixture
def unlucky_size() -> Iterator[int]:
    """A body size that the database stores no second time."""
    refusal = models.UniqueConstraint(fields=["body_size"], condition=models.Q(body_size=13), name="unlucky")
    make_dead_letters(None, 1, body_size=13)
    with connection.schema_editor() as editor:
        editor.add_constraint(DeadLetter, refusal)
    yield 13
    with connection.schema_editor() as editor:
        editor.remove_constraint(DeadLetter, refusal)


def test_one_message_that_can_t_be_stored_stays_with_the_broker_and_holds_up_no_other(
    consumer: Consumer, unlucky_size: int
) -> None:
    captures = Captures(consumer)
    deliveries = captures.deliveries([(died(), b"1"), (died(), b"x" * unlucky_size), (died(), b"2")])
    with pytest.raises(WorkFailed, match="1 dead letters can't be stored"):
        captures.work.process(deliveries, captures.dialect)
    assert [delivery.settled for delivery in deliveries] == [True, False, True]
    assert DeadLetter.objects.filter(consumer=consumer).count() == 2
    session = deliveries[0].settlement._session
    assert session.frames == ["ACK 0", "ACK 2"], "written before the session ends"  # type: ignore[attr-defined]


def test_nothing_is_acked_while_the_database_is_away(consumer: Consumer) -> None:
    captures = Captures(consumer)
    deliveries = captures.deliveries([(died(), b"1")])
    table = DeadLetter._meta.db_table
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER TABLE {table} RENAME TO gone")
    try:
        with pytest.raises(WorkFailed, match="they stay with the broker"):
            captures.work.process(deliveries, captures.dialect)
    finally:
        with connection.cursor() as cursor:
            cursor.execute(f"ALTER TABLE gone RENAME TO {table}")
    assert not deliveries[0].settled
    captures.work.process(deliveries, captures.dialect)
    assert deliveries[0].settled
    assert DeadLetter.objects.count() == 1


def test_a_lost_connection_to_the_database_is_opened_anew(consumer: Consumer) -> None:
    captures = Captures(consumer)
    captures.give((died(), b"1"))
    connection.ensure_connection()
    connection.connection.close()
    connection.errors_occurred = True
    assert captures.give((died(), b"2")) == [0]
    captures.work.close()
    assert captures.give((died(), b"3")) == [0]
    assert DeadLetter.objects.count() == 3

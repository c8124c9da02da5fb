"""``publish()`` inside database transactions: what is sent, in which order, and how often the broker is waited for."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable

import pytest
from django.db import connection, transaction
from django.test import TestCase
from django.utils.connection import ConnectionDoesNotExist

from stompconsole import When, publish
from stompconsole.errors import BrokerRefused, ConfigurationError
from stompconsole.models import Broker
from stompconsole.publishing import publish_many
from tests.publishing.conftest import QUEUE
from tests.support.devbroker import RunningDevBroker

pytestmark = pytest.mark.django_db(transaction=True)

LOGGER = "stompconsole.publishing.committing"


class Undone(Exception):
    """Raised to roll a block back."""


def sent(wire: RunningDevBroker, destination: str = QUEUE) -> list[object]:
    return [json.loads(body) for body in wire.bodies(destination)]


def undo(what: Callable[[], None]) -> None:
    with transaction.atomic():
        what()
        raise Undone


def roll_back(what: Callable[[], None]) -> None:
    with pytest.raises(Undone):
        undo(what)


def test_it_is_sent_after_the_commit(wire: RunningDevBroker, broker: str) -> None:
    with transaction.atomic():
        publish(QUEUE, 1, broker=broker)
        with transaction.atomic():
            publish(QUEUE, 2, broker=broker)
        assert wire.depth(QUEUE) == 0
    assert sent(wire) == [1, 2]


def test_what_is_rolled_back_is_not_sent(wire: RunningDevBroker, broker: str) -> None:
    roll_back(lambda: publish(QUEUE, 1, broker=broker))
    assert wire.depth(QUEUE) == 0
    assert wire.connections() == 0


def test_at_once_waits_for_no_commit(wire: RunningDevBroker, broker: str) -> None:
    roll_back(lambda: publish(QUEUE, 1, broker=broker, when=When.AT_ONCE))
    assert sent(wire) == [1]


def test_messages_of_one_block_wait_for_their_receipts_together(
    wire: RunningDevBroker, broker: str, awaited_at_once: list[int]
) -> None:
    with transaction.atomic():
        for number in range(4):
            publish(QUEUE, number, broker=broker)
    assert awaited_at_once == [1, 3, 2, 1], "the first alone, the others together"
    assert sent(wire) == [0, 1, 2, 3]


def test_a_thousand_of_one_block_are_sent_in_order_and_confirmed(wire: RunningDevBroker, broker: str) -> None:
    with transaction.atomic():
        for number in range(1_000):
            publish(QUEUE, number, broker=broker)
    assert sent(wire) == list(range(1_000))


def test_a_savepoint_that_is_rolled_back_takes_its_messages_and_no_others(wire: RunningDevBroker, broker: str) -> None:
    def say(body: object) -> None:
        publish(QUEUE, body, broker=broker)

    def nested(say: Callable[[object], None]) -> None:
        say("not 2")
        with transaction.atomic():
            say("not 3")

    with transaction.atomic():
        say("a")
        with transaction.atomic():
            say("b")
            roll_back(lambda: say("not 1"))
            say("c")
        say("d")
        say("e")
        roll_back(lambda: nested(say))
        say("f")
    assert sent(wire) == ["a", "b", "c", "d", "e", "f"]


def test_a_block_without_a_savepoint_belongs_to_the_one_around_it(wire: RunningDevBroker, broker: str) -> None:
    with transaction.atomic():
        publish(QUEUE, "a", broker=broker)
        with transaction.atomic(savepoint=False):
            publish(QUEUE, "b", broker=broker)
        publish(QUEUE, "c", broker=broker)
    assert sent(wire) == ["a", "b", "c"]


def test_other_hooks_keep_their_place_between_messages(wire: RunningDevBroker, broker: str) -> None:
    seen: list[list[object]] = []
    with transaction.atomic():
        publish(QUEUE, 1, broker=broker)
        transaction.on_commit(lambda: seen.append(sent(wire)))
        publish(QUEUE, 2, broker=broker)
        transaction.on_commit(lambda: seen.append(sent(wire)))
    assert seen == [[1], [1, 2]]


def test_what_a_hook_publishes_is_sent_at_once(wire: RunningDevBroker, broker: str) -> None:
    with transaction.atomic():
        publish(QUEUE, 1, broker=broker)
        transaction.on_commit(lambda: publish(QUEUE, "of a hook", broker=broker))
    assert sent(wire) == [1, "of a hook"]


def test_one_block_may_publish_to_several_brokers_and_destinations(wire: RunningDevBroker, broker: str) -> None:
    Broker.objects.create(name="again", host="127.0.0.1", port=wire.port)
    with transaction.atomic():
        publish(QUEUE, 1, broker=broker)
        publish("/queue/others", 2, broker="again")
        publish_many(QUEUE, [3, 4], broker=broker)
    assert (sent(wire), sent(wire, "/queue/others")) == ([1, 3, 4], [2])
    assert wire.connections() == 2


def test_the_row_of_a_broker_is_read_once_for_messages_that_follow_each_other(
    wire: RunningDevBroker, broker: str, django_assert_num_queries: Callable[..., object]
) -> None:
    with transaction.atomic(), django_assert_num_queries(1):  # type: ignore[attr-defined]
        for number in range(5):
            publish(QUEUE, number, broker=broker)


def test_a_failure_after_the_commit_names_what_may_be_missing(
    wire: RunningDevBroker, broker: str, caplog: pytest.LogCaptureFixture
) -> None:
    wire.faults.refuse_sends("no", "/queue/full")

    def change() -> None:
        with transaction.atomic():
            Broker.objects.filter(name=broker).update(client_id="changed")
            publish(QUEUE, {"secret": "body"}, headers={"correlation-id": "c-1"}, broker=broker)
            publish("/queue/full", {"secret": "body"}, headers={"correlation-id": "c-2"}, broker=broker)
            publish("/queue/full", {"secret": "body"}, headers={"correlation-id": "c-3"}, broker=broker)

    with caplog.at_level(logging.ERROR, LOGGER), pytest.raises(BrokerRefused, match="1 of 3 messages were confirmed"):
        change()
    assert Broker.objects.get().client_id == "changed", "the transaction is committed"
    (record,) = [record for record in caplog.records if record.name == LOGGER]
    assert record.getMessage() == (
        "the transaction is committed, but publishing to /queue/full failed: 1 of 3 messages were confirmed, then: no"
    )
    assert record.correlation_ids == ["c-2", "c-3"]  # type: ignore[attr-defined]
    assert "secret" not in caplog.text


def test_a_transaction_that_is_managed_by_hand_is_refused(wire: RunningDevBroker, broker: str) -> None:
    connection.set_autocommit(False)
    try:
        with pytest.raises(
            ConfigurationError, match=r"autocommit of the database 'default' is off.*transaction\.atomic"
        ):
            publish(QUEUE, 1, broker=broker)
        publish(QUEUE, 2, broker=broker, when=When.AT_ONCE)
    finally:
        connection.rollback()
        connection.set_autocommit(True)
    assert sent(wire) == [2]


def test_django_keeps_hooks_as_we_read_them(broker: str) -> None:
    """``committing`` looks at this list: a Django that keeps it otherwise sends one message at a time."""
    with transaction.atomic():
        publish(QUEUE, 1, broker=broker)
        with transaction.atomic():
            publish(QUEUE, 2, broker=broker)
            publish(QUEUE, 3, broker=broker)
            sids = set(connection.savepoint_ids)
        hooks = [(savepoints, function) for savepoints, function, _ in connection.run_on_commit]
        assert [savepoints for savepoints, _ in hooks] == [set(), sids, sids]
        assert [function.is_last for _, function in hooks] == [True, False, True]
        assert hooks[1][1].batch is hooks[2][1].batch is not hooks[0][1].batch
        transaction.set_rollback(True)


def test_tests_of_teams_find_each_publish_among_the_hooks(wire: RunningDevBroker, broker: str) -> None:
    """Where a whole test is one transaction: what was published before is not mixed with what is captured."""

    with transaction.atomic():
        publish(QUEUE, "before", broker=broker)
        with TestCase.captureOnCommitCallbacks(execute=True) as first:
            publish(QUEUE, 1, broker=broker)
            publish(QUEUE, 2, broker=broker)
        with TestCase.captureOnCommitCallbacks(execute=True) as second:
            publish(QUEUE, 3, broker=broker)
        assert (len(first), len(second)) == (2, 1)
        assert sent(wire) == [1, 2, 3]
        wire.faults.refuse_sends("no")
        with (
            pytest.raises(BrokerRefused, match=r"^no$"),
            TestCase.captureOnCommitCallbacks(execute=True),
        ):
            publish(QUEUE, 4, broker=broker)
        transaction.set_rollback(True)
    assert sent(wire) == [1, 2, 3]


def test_the_database_of_the_transaction_is_named_by_using(wire: RunningDevBroker, broker: str) -> None:
    with transaction.atomic(using="default"):
        publish(QUEUE, 1, broker=broker, using="default")
        with pytest.raises(ConnectionDoesNotExist, match="nope"):
            publish(QUEUE, 2, broker=broker, using="nope")
        assert wire.depth(QUEUE) == 0
    assert sent(wire) == [1]

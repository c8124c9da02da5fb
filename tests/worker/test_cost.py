"""What normal traffic asks of the database: the same however many messages are handled well."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created
from django.utils import timezone

from stompconsole.delivery.payload import Payload
from stompconsole.delivery.runner import SubscriptionRunner
from stompconsole.delivery.senders import Senders
from stompconsole.delivery.specs import consume_spec
from stompconsole.metrics import buckets
from stompconsole.metrics.tally import Tally
from stompconsole.models import AuditEntry, DeadLetter
from stompconsole.worker.works import handler_work
from tests.deadletters.making import make_broker, make_consumer
from tests.support.devbroker import RunningDevBroker, running_devbroker
from tests.support.waiting import until

pytestmark = pytest.mark.django_db(transaction=True)

QUEUE = "/queue/orders"


@pytest.fixture
def wire() -> Iterator[RunningDevBroker]:
    with running_devbroker() as running:
        yield running


class Asked:
    """Every statement of every connection of this process, whichever thread opened it."""

    def __init__(self) -> None:
        self.statements: list[str] = []

    def watch(self, connection: BaseDatabaseWrapper, **_: Any) -> None:
        if self._note not in connection.execute_wrappers:
            connection.execute_wrappers.append(self._note)

    def _note(self, execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        self.statements.append(sql)
        return execute(sql, params, many, context)


@pytest.fixture
def asked() -> Iterator[Asked]:
    asked = Asked()
    asked.watch(connection)
    connection_created.connect(asked.watch)
    yield asked
    connection_created.disconnect(asked.watch)
    connection.execute_wrappers.clear()


def statements_for(count: int, wire: RunningDevBroker, asked: Asked) -> list[str]:
    """What is asked while so many messages are handled well, and told on one beat."""
    consumer = make_consumer(make_broker(port=wire.port))
    spec, tally, senders = consumer.spec(), Tally(), Senders()
    handled: list[object] = []

    def handler(payload: Payload) -> None:
        handled.append(payload.body)

    wire.send(QUEUE, *[b"{}"] * count)
    asked.statements.clear()
    runner = SubscriptionRunner(consume_spec(spec), handler_work(spec, handler, senders, "w:1", tally), tally)
    runner.start()
    until(lambda: len(handled) == count, 30, "all are handled")
    runner.drain()
    assert runner.join(15)
    buckets.add_all({consumer.pk: tally.take()}, timezone.now())
    senders.close(1.0)
    return list(asked.statements)


@pytest.mark.long
def test_messages_that_are_handled_well_ask_nothing_of_the_database_one_by_one(
    wire: RunningDevBroker, asked: Asked
) -> None:
    few = statements_for(20, wire, asked)
    many = statements_for(2_000, wire, asked)
    assert 0 < len(many) <= len(few) + 3, "more than the beat's own, which may begin a new bucket"
    assert wire.depth(QUEUE) == 0
    assert not AuditEntry.objects.exists()
    assert not DeadLetter.objects.exists()

"""How much waits, from the brokers into rows: by the worker that leads, one broker never holding up another."""

from __future__ import annotations

import asyncio
import threading
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.db import connection
from django.test import override_settings

from stompconsole.brokers.depths import Depth
from stompconsole.delivery import depths
from stompconsole.delivery.depths import Question
from stompconsole.delivery.senders import Senders
from stompconsole.delivery.specs import Purpose
from stompconsole.models import Consumer, QueueDepth
from stompconsole.worker import depth_rows
from stompconsole.worker.depths import DepthReader
from tests.dashboard import rows
from tests.deadletters.making import make_broker, make_consumer
from tests.delivery.running import send
from tests.support.brokers import TestBroker
from tests.support.ports import free_port

pytestmark = pytest.mark.django_db(transaction=True)

QUICK = override_settings(STOMPCONSOLE={"DEPTHS_EVERY": 0.1})


def of(consumer: Consumer, purpose: Purpose = Purpose.CONSUME) -> QueueDepth | None:
    return QueueDepth.objects.filter(consumer=consumer, purpose=purpose).first()


def read_until(predicate: Callable[[], object], worker_id: uuid.UUID | None = None, *, within_s: float = 10.0) -> None:
    """Run a reader until something holds."""
    asyncio.run(_read_until(sync_to_async(predicate), worker_id or uuid.UUID(int=0), within_s))


async def _read_until(predicate: Callable[[], Awaitable[object]], worker_id: uuid.UUID, within_s: float) -> None:
    stop = asyncio.Event()
    reading = asyncio.create_task(DepthReader(worker_id, "here:1", Senders()).run(stop))
    try:
        async with asyncio.timeout(within_s):
            while not await predicate():
                await asyncio.wait({reading}, timeout=0.05)
    finally:
        stop.set()
        await asyncio.wait_for(reading, 5)
        await sync_to_async(_close)()


def _close() -> None:
    connection.close()


@QUICK
def test_both_queues_of_a_consumer_are_read_into_rows(devbroker: TestBroker) -> None:
    consumer = make_consumer(make_broker(devbroker), destination="/queue/orders")
    spec = consumer.spec().broker
    send(spec, "/queue/orders", [1, 2, 3])
    send(spec, "/queue/DLQ.orders", [4])
    read_until(lambda: of(consumer, Purpose.CAPTURE))
    messages, dead = of(consumer), of(consumer, Purpose.CAPTURE)
    assert messages is not None
    assert dead is not None
    assert (messages.destination, messages.waiting, messages.in_flight, messages.consumers) == (
        "/queue/orders",
        3,
        0,
        0,
    )
    assert (dead.destination, dead.waiting) == ("/queue/DLQ.orders", 1)
    assert messages.oldest_at is not None
    assert messages.reason == ""
    consumer.delete()
    assert not QueueDepth.objects.exists()


@QUICK
def test_a_depth_follows_what_the_broker_says(devbroker: TestBroker) -> None:
    consumer = make_consumer(make_broker(devbroker), destination="/queue/orders")
    read_until(lambda: (row := of(consumer)) and row.waiting == 0)
    send(consumer.spec().broker, "/queue/orders", [1])
    read_until(lambda: (row := of(consumer)) and row.waiting == 1)


@QUICK
def test_a_broker_that_is_away_is_the_reason_and_the_others_are_read(devbroker: TestBroker) -> None:
    away = make_consumer(rows.make_broker(port=free_port()), destination="/queue/away")
    here = make_consumer(make_broker(devbroker), destination="/queue/here")
    read_until(lambda: of(away) and of(here))
    gone, there = of(away), of(here)
    assert gone is not None
    assert there is not None
    assert gone.waiting is None
    assert "refused" in gone.reason
    assert there.waiting == 0


@QUICK
def test_a_broker_that_never_answers_holds_up_no_other_and_is_said_not_to_answer(
    devbroker: TestBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    release, asked = threading.Event(), []
    really = depths.read

    def read(question: Question) -> dict[Any, Depth]:
        asked.append(question.broker.name)
        if question.broker.name == "silent":
            assert release.wait(30)
        return really(question)

    monkeypatch.setattr(depths, "read", read)
    monkeypatch.setattr("stompconsole.worker.depths.ANSWER_LIMIT_S", 0.3)
    silent = make_consumer(rows.make_broker(name="silent", port=free_port()), destination="/queue/silent")
    here = make_consumer(make_broker(devbroker), destination="/queue/here")
    read_until(lambda: of(here) and (row := of(silent)) and "did not answer in 0.3 s" in row.reason)
    assert asked.count("silent") == 1, "it is not asked again while it has not answered"
    release.set()


@pytest.mark.long
@QUICK
def test_only_the_worker_that_leads_asks(devbroker: TestBroker) -> None:
    make_consumer(make_broker(devbroker), destination="/queue/orders")
    leader = rows.make_worker(id=uuid.UUID(int=1))
    with pytest.raises(TimeoutError):
        read_until(QueueDepth.objects.exists, uuid.UUID(int=2), within_s=1.0)
    read_until(QueueDepth.objects.exists, leader.pk)


def test_the_broker_is_asked_where_its_consumers_are() -> None:
    broker = rows.make_broker(host="first", port=1, standby_host="second", standby_port=2)
    consumer = rows.make_consumer(broker=broker)
    assert [str(each) for each in asked_of(broker.name).broker.endpoints] == ["first:1"]
    rows.make_slot(consumer, rows.make_worker(), endpoint="second:2", server="RabbitMQ/3.10.8")
    assert [str(each) for each in asked_of(broker.name).broker.endpoints] == ["second:2"]
    assert asked_of(broker.name).server == "RabbitMQ/3.10.8"


def test_the_management_api_is_asked_with_the_broker_s_login_unless_it_has_its_own() -> None:
    broker = rows.make_broker(user="app", password="one", management_url="http://rabbit:15672", vhost="shop")
    rows.make_consumer(broker=broker)
    place = asked_of(broker.name).management
    assert place is not None
    assert (place.user, place.password, place.vhost) == ("app", "one", "shop")
    assert "one" not in repr(place)
    broker.management_user, broker.management_password = "watcher", "two"
    broker.save()
    place = asked_of(broker.name).management
    assert place is not None
    assert (place.user, place.password) == ("watcher", "two")


def test_what_is_found_of_a_consumer_that_was_deleted_meanwhile_is_dropped() -> None:
    consumer = rows.make_consumer()
    (found,) = depth_rows.rounds()
    consumer.delete()
    depth_rows.write(found.rows_of({}))
    assert not QueueDepth.objects.exists()


def test_a_reason_of_any_length_with_anything_in_it_is_written() -> None:
    rows.make_consumer()
    (found,) = depth_rows.rounds()
    hostile = Depth(reason="\0" + "x" * 10_000)
    depth_rows.write([(slot, replace(hostile)) for slot in found.slots])
    assert {len(row.reason) for row in QueueDepth.objects.all()} == {depth_rows.MAX_REASON}


def asked_of(name: str) -> Question:
    """What is asked of the broker of this name."""
    (found,) = (each for each in depth_rows.rounds() if each.broker == name)
    assert found.question is not None
    return found.question

"""``apublish``: as ``publish``, while other tasks run."""

from __future__ import annotations

import asyncio
import uuid

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from django.core.exceptions import SynchronousOnlyOperation
from django.db import connections, transaction
from django.test import TestCase

from stompconsole import apublish, apublish_many, publish
from stompconsole.correlation import InTask
from stompconsole.errors import BrokerRefused, ConfigurationError, ReceiptTimeout
from stompconsole.publishing import WINDOW
from tests.publishing.conftest import QUEUE
from tests.support.devbroker import RunningDevBroker
from tests.support.waiting import until

pytestmark = pytest.mark.django_db(transaction=True)


def test_it_is_confirmed_when_it_returns(wire: RunningDevBroker, broker: str) -> None:
    async_to_sync(apublish)(QUEUE, {"n": 1}, broker=broker)
    async_to_sync(apublish_many)(QUEUE, range(WINDOW + 10), broker=broker)
    assert wire.depth(QUEUE) == WINDOW + 11


def test_it_carries_the_id_in_hand(wire: RunningDevBroker, broker: str) -> None:
    async def work() -> None:
        with InTask("c-1"):
            await apublish(QUEUE, 1, broker=broker)
        await apublish(QUEUE, 2, broker=broker)

    async_to_sync(work)()
    first, second = (message.headers["correlation-id"] for message in wire.messages(QUEUE))
    assert first == "c-1"
    assert uuid.UUID(second)


def test_other_tasks_run_while_a_blocked_broker_is_waited_for(wire: RunningDevBroker, broker: str) -> None:
    async def work() -> None:
        wire.faults.block_sends()
        waiting = asyncio.create_task(apublish(QUEUE, 1, broker=broker, timeout_s=30))
        await asyncio.wait_for(asyncio.to_thread(until, lambda: wire.connections() == 1, 5, "it is sending"), 10)
        assert not waiting.done()
        wire.faults.unblock_sends()
        await asyncio.wait_for(waiting, 10)

    async_to_sync(work)()
    assert wire.depth(QUEUE) == 1


@pytest.mark.long
def test_what_is_not_confirmed_raises(wire: RunningDevBroker, broker: str) -> None:
    wire.faults.refuse_sends("not yours")
    with pytest.raises(BrokerRefused, match="not yours"):
        async_to_sync(apublish)(QUEUE, 1, broker=broker)
    wire.faults.clear()
    wire.faults.block_sends()
    with pytest.raises(ReceiptTimeout, match=r"did not confirm in 0\.05 s"):
        async_to_sync(apublish)(QUEUE, 1, broker=broker, timeout_s=0.05)
    with pytest.raises(ConfigurationError, match="no broker named 'nope'"):
        async_to_sync(apublish)(QUEUE, 1, broker="nope")


def test_a_test_that_is_one_transaction_captures_it(wire: RunningDevBroker, broker: str) -> None:
    with transaction.atomic():
        with TestCase.captureOnCommitCallbacks(execute=True) as hooks:
            async_to_sync(apublish)(QUEUE, 1, broker=broker)
            assert wire.depth(QUEUE) == 0
        assert len(hooks) == 1
        transaction.set_rollback(True)
    assert wire.depth(QUEUE) == 1


def test_publish_in_a_thread_of_async_code_works_and_in_the_loop_is_refused_by_django(
    wire: RunningDevBroker, broker: str
) -> None:
    def in_another_thread() -> None:
        publish(QUEUE, 2, broker=broker)
        connections.close_all()

    async def work() -> None:
        await sync_to_async(publish)(QUEUE, 1, broker=broker)
        await asyncio.to_thread(in_another_thread)
        with pytest.raises(SynchronousOnlyOperation):
            publish(QUEUE, 3, broker=broker)

    async_to_sync(work)()
    assert wire.bodies(QUEUE) == [b"1", b"2"]

"""A supervisor inside the test: what it starts, what ends it, what it leaves behind."""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import pytest
from django.db import connections

from stompconsole.conf import Settings
from stompconsole.deadletters.lanes import Lane
from stompconsole.delivery.senders import Senders
from stompconsole.errors import StompConsoleError
from stompconsole.models import AuditEntry, Broker, Consumer, Subscription, Worker
from stompconsole.models.throughput import ThroughputBucket
from stompconsole.worker.supervisor import Supervisor
from tests.support.ports import free_port

pytestmark = pytest.mark.django_db(transaction=True)

QUICK = Settings(
    poll_interval_s=0.1, lease_s=3.0, heartbeat_s=0.1, stale_after_s=2.0, graceful_wait_s=5.0, handlers=("json.*",)
)
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
T = TypeVar("T")


class Idle:
    """A side task that does nothing until it is asked to stop."""

    def __init__(self, worker_id: uuid.UUID, worker_name: str, senders: Senders) -> None:
        self.nudges = 0

    async def run(self, stop: asyncio.Event) -> None:
        await stop.wait()

    def nudge(self) -> None:
        self.nudges += 1


class Dying(Idle):
    """A side task with a bug."""

    async def run(self, stop: asyncio.Event) -> None:
        raise ZeroDivisionError("the side task has a bug")


class Ending(Idle):
    """A side task that returns though nobody asked it to."""

    async def run(self, stop: asyncio.Event) -> None:
        return


class Stubborn(Idle):
    """A side task that does not stop when it is asked to."""

    async def run(self, stop: asyncio.Event) -> None:
        await asyncio.Event().wait()


async def until_async(condition: Callable[[], Awaitable[T]], what: str) -> T:
    """Ask again and again until the answer is true."""
    deadline = time.monotonic() + 15
    while not (value := await condition()):
        assert time.monotonic() < deadline, what
        await asyncio.sleep(0.01)
    return value


class Scene:
    """A running supervisor, and a lane to look at the database from."""

    def __init__(self, supervisor: Supervisor) -> None:
        self.supervisor = supervisor
        self.stop = asyncio.Event()
        self._lane = Lane("test")

    async def __aenter__(self) -> Scene:
        self.task = asyncio.ensure_future(self.supervisor.run(self.stop))
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self.stop.set()
        async with asyncio.timeout(30):
            await asyncio.gather(self.task, return_exceptions=True)
        assert await asyncio.to_thread(self._lane.close, 10)

    async def ask(self, question: Callable[[], T]) -> T:
        return await self._lane.run(question)

    async def until(self, question: Callable[[], T], what: str) -> T:
        return await until_async(lambda: self.ask(question), what)


@pytest.fixture
def consumer() -> Consumer:
    broker = Broker.objects.create(name="gone", host="127.0.0.1", port=free_port())
    row = Consumer.objects.create(
        name="orders", broker=broker, destination="/queue/orders", handler="json.loads", capture=False
    )
    connections.close_all()
    return row


def slot() -> Subscription:
    return Subscription.objects.get()


def test_a_worker_registers_beats_and_leaves_nothing_behind(consumer: Consumer) -> None:
    supervisor = Supervisor(QUICK, (Idle,))

    async def scenario() -> None:
        async with Scene(supervisor) as scene:
            await scene.until(Subscription.objects.filter(state="backing off").exists, "it tries the broker")
            first = await scene.ask(lambda: Worker.objects.get().heartbeat_at)
            await scene.until(lambda: Worker.objects.get().heartbeat_at > first, "it beats")
            assert (await scene.ask(slot)).worker_id == supervisor.worker_id

    asyncio.run(scenario())
    worker = Worker.objects.get()
    assert (worker.pk, worker.state, str(worker)) == (supervisor.worker_id, "stopped", supervisor.name)
    assert (slot().worker_id, slot().state, slot().reason) == (None, "stopped", "the worker is stopping")


def test_a_nudge_is_followed_at_once_and_reaches_the_side_tasks(consumer: Consumer) -> None:
    supervisor = Supervisor(replace(QUICK, poll_interval_s=600.0), (Idle,))

    async def scenario() -> None:
        async with Scene(supervisor) as scene:
            await scene.until(Subscription.objects.filter(state="backing off").exists, "it runs")
            await scene.ask(lambda: Consumer.objects.update(paused=True))
            supervisor.nudge()
            await scene.until(lambda: slot().worker_id is None, "it is paused and released")

    asyncio.run(scenario())
    assert supervisor._side_tasks[0].nudges == 1  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("side_task", "error", "text"),
    [(Dying, ZeroDivisionError, "has a bug"), (Ending, StompConsoleError, "Ending has ended by itself")],
)
def test_a_side_task_that_dies_ends_the_worker_loudly_and_its_slots_are_free(
    consumer: Consumer,
    caplog: pytest.LogCaptureFixture,
    side_task: type[Idle],
    error: type[Exception],
    text: str,
) -> None:
    supervisor = Supervisor(QUICK, (Idle, side_task))
    with pytest.raises(ExceptionGroup) as caught:
        asyncio.run(supervisor.run(asyncio.Event()))
    assert caught.group_contains(error, match=text)
    critical = [record for record in caplog.records if record.levelno == logging.CRITICAL]
    assert [record.exc_info is not None for record in critical] == [True]
    assert side_task.__name__ in critical[0].getMessage()
    assert Worker.objects.get().state == "stopped"
    assert not Subscription.objects.exclude(worker=None).exists()


def test_a_side_task_that_does_not_stop_is_not_waited_for_for_ever(
    consumer: Consumer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stompconsole.worker.supervisor.ABORT_LIMIT_S", 0.2)
    supervisor = Supervisor(QUICK, (Stubborn,))

    async def scenario() -> None:
        async with Scene(supervisor) as scene:
            await scene.until(Worker.objects.exists, "it registers")
            scene.stop.set()
            async with asyncio.timeout(10):
                await scene.task

    asyncio.run(scenario())
    assert Worker.objects.get().state == "stopped"


def test_a_stop_before_the_start_is_obeyed() -> None:
    stop = asyncio.Event()
    stop.set()

    async def scenario() -> None:
        async with asyncio.timeout(10):
            await Supervisor(QUICK).run(stop)

    asyncio.run(scenario())
    assert not Worker.objects.exclude(state="stopped").exists()


def test_a_worker_whose_row_was_deleted_registers_again(consumer: Consumer) -> None:
    async def scenario() -> None:
        async with Scene(Supervisor(QUICK)) as scene:
            await scene.until(Subscription.objects.filter(state="backing off").exists, "it runs")
            await scene.ask(Worker.objects.all().delete)
            await scene.until(Worker.objects.filter(state="running").exists, "it is back")
            await scene.until(lambda: slot().worker_id is not None, "and so is its slot")

    asyncio.run(scenario())


def silent_worker(since: datetime) -> Worker:
    return Worker.objects.create(hostname="old", pid=1, version="0", started_at=since, heartbeat_at=since)


def test_what_befalls_it_is_told_in_the_audit(consumer: Consumer) -> None:
    silent = silent_worker(datetime.now(UTC) - timedelta(minutes=1))
    Subscription.objects.create(consumer=consumer, slot="0", worker=silent, lease_until=LONG_AGO)
    supervisor = Supervisor(QUICK)

    async def scenario() -> None:
        async with Scene(supervisor) as scene:
            await scene.until(Subscription.objects.filter(state="backing off").exists, "it has taken it over")
            await scene.ask(lambda: Consumer.objects.update(handler="nowhere.to.be_found"))
            await scene.until(AuditEntry.objects.filter(action="consumer state").exists, "it is broken, and said so")

    asyncio.run(scenario())
    entries = AuditEntry.objects.order_by("id")
    assert [entry.action for entry in entries] == [
        "worker started",
        "slot taken over",
        "consumer state",
        "worker stopped",
    ]
    assert {entry.actor_name for entry in entries} == {supervisor.name}
    assert entries[1].detail == "from old:1, whose lease ran out"
    assert entries[2].detail.startswith("broken: handler nowhere.to.be_found: ")
    assert entries[2].consumer_id == consumer.pk


def test_old_workers_and_buckets_are_swept(consumer: Consumer) -> None:
    silent_worker(LONG_AGO)
    ThroughputBucket.objects.create(consumer=consumer, width_s=3600, start=LONG_AGO)

    async def scenario() -> None:
        async with Scene(Supervisor(QUICK)) as scene:
            await scene.until(lambda: not Worker.objects.filter(hostname="old").exists(), "the worker is gone")
            await scene.until(lambda: not ThroughputBucket.objects.exists(), "the bucket is gone")

    asyncio.run(scenario())

"""Channels' worker as we run it: other channels as ever, a dead listener loud, a stop obeyed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from channels.layers import InMemoryChannelLayer
from channels.worker import Worker as ChannelsOwn
from django.db import connections

from stompconsole.models import Subscription, Worker
from stompconsole.worker.channels_worker import ChannelsWorker
from tests.worker.test_supervisor import consumer  # noqa: F401 - a fixture

Message = dict[str, Any]


class Application:
    """Keeps what it receives."""

    def __init__(self) -> None:
        self.received: list[tuple[str, Message]] = []
        self.arrived = asyncio.Event()

    async def __call__(
        self, scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
    ) -> None:
        while True:
            self.received.append((scope["channel"], await receive()))
            self.arrived.set()


class Running:
    """A worker that runs, without the signals of a process."""

    def __init__(self, *channels: str) -> None:
        self.application = Application()
        self.layer = InMemoryChannelLayer()
        self.worker = ChannelsWorker(self.application, channels, self.layer)

    async def __aenter__(self) -> Running:
        self.task = asyncio.ensure_future(self.worker.arun())
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self.worker._asked_to_stop()
        async with asyncio.timeout(20):
            await asyncio.gather(self.task, return_exceptions=True)


def test_it_is_channels_own_worker_for_other_channels() -> None:
    async def scenario() -> list[tuple[str, Message]]:
        async with Running("thumbnails", "mails") as running:
            await running.layer.send("mails", {"type": "mail", "to": "a"})
            async with asyncio.timeout(10):
                await running.application.arrived.wait()
        assert running.task.exception() is None
        return running.application.received

    assert issubclass(ChannelsWorker, ChannelsOwn)
    assert asyncio.run(scenario()) == [("mails", {"type": "mail", "to": "a"})]


def test_one_dead_listener_ends_all_loudly(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> BaseException | None:
        async with Running("thumbnails", "mails") as running:
            await running.layer.send("mails", {"no": "type"})
            async with asyncio.timeout(10):
                await asyncio.wait([running.task])
        return running.task.exception()

    error = asyncio.run(scenario())
    assert isinstance(error, ExceptionGroup)
    assert error.subgroup(ValueError) is not None
    critical = [record.getMessage() for record in caplog.records if record.levelno == logging.CRITICAL]
    assert critical == ["listener of mails has failed: the worker ends"]


def test_a_stop_before_the_loop_runs_is_obeyed() -> None:
    worker = ChannelsWorker(Application(), ["thumbnails"], InMemoryChannelLayer())
    worker._asked_to_stop()

    async def scenario() -> None:
        async with asyncio.timeout(10):
            await worker.arun()

    asyncio.run(scenario())


@pytest.mark.django_db(transaction=True)
def test_the_channel_stomp_runs_consumers_beside_the_other_channels(consumer: object) -> None:  # noqa: F811
    async def scenario() -> None:
        async with Running("mails", "stomp") as running:
            await running.layer.send("mails", {"type": "mail"})
            async with asyncio.timeout(10):
                await running.application.arrived.wait()
            async with asyncio.timeout(10):
                while not await asyncio.to_thread(_a_slot_is_held):
                    await running.layer.send("stomp", {"type": "stomp.nudge"})
        assert running.task.exception() is None

    asyncio.run(scenario())
    assert Worker.objects.get().state == "stopped"


def _a_slot_is_held() -> bool:
    try:
        return Subscription.objects.exclude(worker=None).exists()
    finally:
        connections.close_all()

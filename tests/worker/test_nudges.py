"""Nudges: at once where the layer works, harmless where it does not."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterator
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from channels.db import database_sync_to_async
from channels.layers import InMemoryChannelLayer, channel_layers
from django.db import transaction
from django.test import override_settings

from stompconsole.worker import nudges
from stompconsole.worker.nudges import CHANNEL, GROUP, MESSAGE, NudgeListener, nudge, nudge_on_commit
from tests.support.servers import TestServer
from tests.worker.stage import Stage


class DeadLayer(InMemoryChannelLayer):
    """A layer whose server is gone."""

    def __init__(self) -> None:
        super().__init__()
        self.joins = 0
        self.joined_again = asyncio.Event()

    async def group_add(self, group: str, channel: str) -> None:
        self.joins += 1
        if self.joins == 2:
            self.joined_again.set()
        raise ConnectionError("connection refused")

    async def group_send(self, group: str, message: dict[str, Any]) -> None:
        raise ConnectionError("connection refused")


class SilentLayer(InMemoryChannelLayer):
    """A layer whose server does not answer."""

    async def group_send(self, group: str, message: dict[str, Any]) -> None:
        await asyncio.Event().wait()


class FlakyLayer(InMemoryChannelLayer):
    """A layer that loses its connection once."""

    lost = False

    async def receive(self, channel: str) -> Any:
        if not FlakyLayer.lost:
            FlakyLayer.lost = True
            raise ConnectionError("connection reset")
        return await super().receive(channel)


class ImpatientLayer(InMemoryChannelLayer):
    """Gives up reading when nothing came for a while, as channels_redis does on redis-py 8."""

    gave_up = 0

    async def receive(self, channel: str) -> Any:
        try:
            return await asyncio.wait_for(super().receive(channel), 0.05)
        except TimeoutError:
            self.gave_up += 1
            raise


@pytest.fixture
def layer(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemoryChannelLayer]:
    made: InMemoryChannelLayer = request.param()
    monkeypatch.setattr(nudges, "_sending", nudges._Layer())
    before = channel_layers.set("default", made)
    yield made
    if before is None:
        # Made when it is first asked for.
        del channel_layers.backends["default"]
    else:
        channel_layers.set("default", before)


working = pytest.mark.parametrize("layer", [InMemoryChannelLayer], indirect=True)
dead = pytest.mark.parametrize("layer", [DeadLayer], indirect=True)
silent = pytest.mark.parametrize("layer", [SilentLayer], indirect=True)


class Listening:
    """A listener that runs, and how often it has heard something."""

    def __init__(self, layer: InMemoryChannelLayer) -> None:
        self.heard = asyncio.Event()
        self._listener = NudgeListener(layer, self.heard.set)

    async def __aenter__(self) -> Listening:
        self.task = asyncio.ensure_future(self._listener.run())
        # It nudges by itself once it listens: what came before is lost.
        await self.hears()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        assert not self.task.done()
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)

    async def hears(self) -> None:
        async with asyncio.timeout(10):
            await self.heard.wait()
        self.heard.clear()


@working
def test_a_nudge_reaches_every_worker(layer: InMemoryChannelLayer) -> None:
    async def scenario() -> None:
        async with Listening(layer) as one, Listening(layer) as other:
            await sync_to_async(nudge)()
            await one.hears()
            await other.hears()

    asyncio.run(scenario())


@working
def test_a_message_on_the_channel_itself_is_a_nudge_and_any_other_is_ignored(
    layer: InMemoryChannelLayer, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        async with Listening(layer) as listening:
            await layer.send(CHANNEL, {"type": "something.else"})
            await layer.send(CHANNEL, dict(MESSAGE))
            await listening.hears()

    asyncio.run(scenario())
    assert "'something.else' on channel stomp is ignored" in caplog.text


@working
@pytest.mark.django_db(transaction=True)
def test_a_nudge_comes_with_the_commit_and_not_without(layer: InMemoryChannelLayer) -> None:
    def roll_back() -> None:
        with transaction.atomic():
            nudge_on_commit()
            transaction.set_rollback(True)

    def commit(listening: Listening) -> bool:
        with transaction.atomic():
            nudge_on_commit()
            return listening.heard.is_set()

    async def scenario() -> None:
        async with Listening(layer) as listening:
            await database_sync_to_async(roll_back)()
            assert not listening.heard.is_set()
            assert not await database_sync_to_async(commit)(listening)
            await listening.hears()

    asyncio.run(scenario())


@dead
def test_a_layer_that_is_down_is_said_once_and_left_alone_for_a_while(
    layer: InMemoryChannelLayer, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.WARNING, "stompconsole.worker.nudges")
    nudge()
    nudge()
    monkeypatch.setattr(nudges._sending, "quiet_until_s", 0.0)
    nudge()
    assert [record.getMessage() for record in caplog.records] == [
        "workers could not be nudged: connection refused; workers see changes at their next poll"
    ]


@silent
def test_a_layer_that_does_not_answer_holds_nobody_up_for_long(layer: InMemoryChannelLayer) -> None:
    started = time.monotonic()
    for _ in range(20):
        nudge()
    assert time.monotonic() - started < nudges.SEND_LIMIT_S + 2


@override_settings(CHANNEL_LAYERS={})
def test_without_a_channel_layer_a_nudge_does_nothing() -> None:
    nudge()


@pytest.mark.long
@dead
def test_a_listener_goes_on_trying_while_its_layer_is_down(layer: DeadLayer, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        listener = asyncio.ensure_future(NudgeListener(layer, lambda: None).run())
        async with asyncio.timeout(10):
            await layer.joined_again.wait()
        assert not listener.done()
        listener.cancel()

    asyncio.run(scenario())
    assert caplog.text.count("nudges can't be heard: connection refused") == 1


@pytest.mark.parametrize("layer", [FlakyLayer], indirect=True)
def test_a_listener_joins_again_after_its_connection_was_lost(layer: InMemoryChannelLayer) -> None:
    FlakyLayer.lost = False

    async def scenario() -> None:
        async with Listening(layer) as listening:
            await listening.hears()
            await layer.group_send(GROUP, dict(MESSAGE))
            await listening.hears()

    asyncio.run(scenario())
    assert FlakyLayer.lost


@pytest.mark.parametrize("layer", [ImpatientLayer], indirect=True)
def test_a_quiet_time_is_no_failure_and_leaves_no_channels_behind(
    layer: ImpatientLayer, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        async with Listening(layer) as listening:
            while layer.gave_up < 6:
                await listening.hears()
            await sync_to_async(nudge)()
            await listening.hears()
            assert len(layer.groups[GROUP]) == 1

    asyncio.run(scenario())
    assert "can't be heard" not in caplog.text


@pytest.mark.slow
def test_over_redis_a_saved_consumer_is_run_long_before_the_next_poll(stage: Stage, redis: TestServer) -> None:
    worker = stage.worker(POLL_INTERVAL=120.0, redis=redis.url)
    stage.wait_for_worker(worker)
    worker.wait_for_line("has started")
    layer = {"BACKEND": "channels_redis.core.RedisChannelLayer", "CONFIG": {"hosts": [redis.url]}}
    with override_settings(CHANNEL_LAYERS={"default": layer}):
        consumer = stage.consumer("orders")
        stage.wait_for(consumer, "running", timeout_s=10)
        consumer.paused = True
        consumer.save()
        worker.wait_for_line("drains: paused", timeout_s=10)
    assert worker.terminate() == 0

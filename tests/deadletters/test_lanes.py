"""Blocking calls off the event loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import pytest
from django.db import OperationalError, connection

from stompconsole.deadletters.lanes import Lane
from stompconsole.models import Worker


@pytest.fixture
def lane() -> Iterator[Lane]:
    made = Lane("test")
    yield made
    assert made.close(10)


def test_a_call_gives_what_it_gives_and_raises_what_it_raises(lane: Lane) -> None:
    async def scenario() -> int:
        with pytest.raises(ZeroDivisionError):
            await lane.run(divmod, 1, 0)
        return await lane.run(int, "7")

    assert asyncio.run(scenario()) == 7


def test_calls_run_one_after_another_on_one_thread(lane: Lane) -> None:
    seen: list[tuple[int, int]] = []

    async def scenario() -> None:
        await asyncio.gather(
            *(lane.run(lambda n=number: seen.append((n, threading.get_ident()))) for number in range(50))
        )

    asyncio.run(scenario())
    assert [number for number, _ in seen] == list(range(50))
    assert len({thread for _, thread in seen}) == 1


def test_a_lane_that_hangs_holds_up_neither_the_loop_nor_whoever_stops_waiting(lane: Lane) -> None:
    gate = threading.Event()

    async def scenario() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(lane.run(gate.wait, 30), 0.05)
        waiting = asyncio.ensure_future(lane.run(gate.wait, 30))
        waiting.cancel()
        await asyncio.wait([waiting])

    asyncio.run(scenario())
    assert not lane.close(0.01)
    gate.set()


def test_a_call_that_nobody_waits_for_any_more_is_not_begun(lane: Lane) -> None:
    gate = threading.Event()
    begun: list[int] = []

    async def scenario() -> None:
        hanging = asyncio.ensure_future(lane.run(gate.wait, 30))
        given_up = asyncio.ensure_future(lane.run(begun.append, 1))
        await asyncio.sleep(0)
        given_up.cancel()
        await asyncio.wait([given_up])
        gate.set()
        await hanging

    asyncio.run(scenario())
    assert begun == []


@pytest.mark.django_db(transaction=True)
def test_a_connection_is_kept_and_made_anew_after_an_error(lane: Lane) -> None:
    def connected() -> object:
        Worker.objects.count()
        return connection.connection

    def failing() -> None:
        raise OperationalError("gone")

    async def scenario() -> list[object]:
        seen = [await lane.run(connected), await lane.run(connected)]
        with pytest.raises(OperationalError):
            await lane.run(failing)
        return [*seen, await lane.run(connected)]

    first, second, third = asyncio.run(scenario())
    assert first is second
    assert third is not first

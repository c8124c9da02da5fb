"""How the parts of a worker rest."""

from __future__ import annotations

import asyncio
import time

import pytest

from stompconsole.worker import supervisor


def test_a_rest_that_is_cancelled_as_its_event_comes_ends_the_part_that_rests() -> None:
    async def at_once() -> None:
        event = asyncio.Event()
        resting = asyncio.create_task(supervisor._wait(event, 60.0))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        event.set()
        resting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await resting

    asyncio.run(at_once())


def test_a_rest_ends_with_its_event_or_its_time() -> None:
    async def rest(seconds: float, *, is_set: bool) -> float:
        event = asyncio.Event()
        if is_set:
            event.set()
        started = time.monotonic()
        await supervisor._wait(event, seconds)
        return time.monotonic() - started

    assert asyncio.run(rest(60.0, is_set=True)) < 10
    assert asyncio.run(rest(0.01, is_set=False)) >= 0.01

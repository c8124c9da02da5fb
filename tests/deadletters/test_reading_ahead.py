"""Portions of a replay, read one ahead."""

from __future__ import annotations

import asyncio

import pytest

from stompconsole.deadletters import carrying
from stompconsole.deadletters.replay_rows import Portion


class Rows:
    """Portions by what is asked for, and what was."""

    def __init__(self) -> None:
        self.asked: list[tuple[int, tuple[str, ...], int]] = []
        self.fails = False

    async def read(self, after_item: int, without: tuple[str, ...], most: int) -> Portion:
        self.asked.append((after_item, without, most))
        if self.fails:
            raise OSError("the database is away")
        return Portion(last_item=after_item + most)


def test_what_was_read_ahead_is_not_read_again() -> None:
    rows = Rows()

    async def two() -> list[int]:
        portions = carrying._Portions(rows.read)
        first = await portions.of(0, (), 10)
        portions.read_ahead(10, (), 10)
        return [first.last_item, (await portions.of(10, (), 10)).last_item]

    assert asyncio.run(two()) == [10, 20]
    assert rows.asked == [(0, (), 10), (10, (), 10)]


@pytest.mark.parametrize("wanted", [(10, ("shop",), 10), (10, (), 3), (7, (), 10)], ids=str)
def test_where_something_else_is_wanted_it_is_read_anew(wanted: tuple[int, tuple[str, ...], int]) -> None:
    rows = Rows()

    async def other() -> Portion:
        portions = carrying._Portions(rows.read)
        portions.read_ahead(10, (), 10)
        await asyncio.sleep(0)
        return await portions.of(*wanted)

    assert asyncio.run(other()).last_item == wanted[0] + wanted[2]
    assert rows.asked[-1] == wanted


def test_an_error_of_what_is_not_wanted_any_more_is_nobody_s() -> None:
    rows = Rows()
    rows.fails = True
    told: list[object] = []

    async def dropped() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _loop, context: told.append(context))
        portions = carrying._Portions(rows.read)
        portions.read_ahead(10, (), 10)
        await asyncio.sleep(0)
        await portions.drop()
        with pytest.raises(OSError, match="away"):
            await portions.of(10, (), 10)

    asyncio.run(dropped())
    assert told == []

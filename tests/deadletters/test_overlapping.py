"""Portions of a replay: one is read ahead, and what came of one is written down behind."""

from __future__ import annotations

import asyncio

import pytest

from stompconsole.deadletters.overlapping import Landed, ReadAhead, UnderWay, WriteBehind
from stompconsole.deadletters.portions import Portion
from stompconsole.deadletters.resending import Flight
from stompconsole.deadletters.unconfirmed import Results


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
        ahead = ReadAhead(rows.read)
        first = await ahead.of(0, (), 10)
        ahead.begin(10, (), 10)
        return [first.last_item, (await ahead.of(10, (), 10)).last_item]

    assert asyncio.run(two()) == [10, 20]
    assert rows.asked == [(0, (), 10), (10, (), 10)]


@pytest.mark.parametrize("wanted", [(10, ("shop",), 10), (10, (), 3), (7, (), 10)], ids=str)
def test_where_something_else_is_wanted_it_is_read_anew(wanted: tuple[int, tuple[str, ...], int]) -> None:
    rows = Rows()

    async def other() -> Portion:
        ahead = ReadAhead(rows.read)
        ahead.begin(10, (), 10)
        await asyncio.sleep(0)
        return await ahead.of(*wanted)

    assert asyncio.run(other()).last_item == wanted[0] + wanted[2]
    assert rows.asked[-1] == wanted


def test_an_error_of_what_is_not_wanted_any_more_is_nobody_s() -> None:
    rows = Rows()
    rows.fails = True
    told: list[object] = []

    async def dropped() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _loop, context: told.append(context))
        ahead = ReadAhead(rows.read)
        ahead.begin(10, (), 10)
        await asyncio.sleep(0)
        await ahead.drop()
        with pytest.raises(OSError, match="away"):
            await ahead.of(10, (), 10)

    asyncio.run(dropped())
    assert told == []


class Written:
    """What was written down, each when it is allowed to be."""

    def __init__(self) -> None:
        self.landed: list[Landed] = []
        self.may = asyncio.Event()

    async def write(self, landed: Landed) -> bool:
        await self.may.wait()
        self.landed.append(landed)
        return True


def portion(flight_id: int = 1) -> Landed:
    return Landed(results=Results(), unsendable={}, flight_id=flight_id)


def test_what_came_of_a_portion_is_written_while_something_else_goes_on() -> None:
    one, two = portion(1), portion(2)

    async def both() -> list[Landed]:
        written = Written()
        behind = WriteBehind(written.write)
        await behind.begin(one)
        await asyncio.sleep(0)
        assert written.landed == [], "it waits for the database, and nobody for it"
        written.may.set()
        await behind.end()
        await behind.begin(two)
        await behind.end()
        await behind.end()
        return written.landed

    assert asyncio.run(both()) == [one, two]


def test_writing_has_begun_before_something_else_holds_the_loop() -> None:
    async def begun() -> list[Landed]:
        written = Written()
        written.may.set()
        await WriteBehind(written.write).begin(portion())
        return [*written.landed]

    assert len(asyncio.run(begun())) == 1


def test_no_more_than_one_portion_is_ever_to_be_written() -> None:
    async def too_many() -> None:
        written = Written()
        behind = WriteBehind(written.write)
        await behind.begin(portion())
        with pytest.raises(RuntimeError, match="not written down yet"):
            await behind.begin(portion())
        written.may.set()
        await behind.end()

    asyncio.run(too_many())


def test_a_run_that_is_cancelled_leaves_nothing_unwritten() -> None:
    async def cancelled() -> list[Landed]:
        written = Written()
        behind = WriteBehind(written.write)
        await behind.begin(portion())
        waiting = asyncio.ensure_future(behind.end())
        await asyncio.sleep(0)
        waiting.cancel()
        written.may.set()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await asyncio.sleep(0)
        return written.landed

    assert len(asyncio.run(cancelled())) == 1


def test_a_portion_is_settled_once_the_next_one_is_on_its_way_or_nothing_follows() -> None:
    first, second = Portion(last_item=1), Portion(last_item=2)
    flights = {1: Flight([]), 2: Flight([])}
    seen: list[tuple[int, bool]] = []

    async def two() -> None:
        async def settle(flight: Flight, behind: Flight | None) -> Results:
            assert behind is None or behind is flights[2]
            seen.append((1 if flight is flights[1] else 2, behind is not None))
            return Results()

        async def landed(portion: Portion, _results: Results) -> None:
            assert seen[-1][0] == portion.last_item

        under_way = UnderWay(settle, landed)
        assert not under_way.has_landed
        await under_way.follow(first, flights[1])
        assert seen == [], "it is on its way, and nobody waits for it"
        assert under_way.has_landed
        await under_way.follow(second, flights[2])
        await under_way.land()
        await under_way.land()

    asyncio.run(two())
    assert seen == [(1, True), (2, False)]

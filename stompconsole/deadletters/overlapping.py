"""The database beside the wire: while a portion is on its way, the next one is read and handed over behind it, and the
one before is written down.

Owns that it is one portion each and no more: what is sent and not written down is in doubt if the worker dies now.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from stompconsole.deadletters.portions import Portion
from stompconsole.deadletters.resending import Flight
from stompconsole.deadletters.unconfirmed import Results

Wanted = tuple[int, tuple[str, ...], int]
"""After which item, without which brokers, how many at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Landed:
    """What is to be written down of a portion: what came of it, and why some of it can't be sent, by dead letter. Not
    the portion itself: it has bodies."""

    results: Results
    unsendable: Mapping[uuid.UUID, str]
    flight_id: int | None


class ReadAhead:
    """Reads portions, one ahead where it is told what will be wanted next."""

    def __init__(self, read: Callable[[int, tuple[str, ...], int], Awaitable[Portion]]) -> None:
        self._read = read
        self._wanted: Wanted | None = None
        self._ahead: asyncio.Future[Portion] | None = None

    async def of(self, *wanted: *Wanted) -> Portion:
        """The portion that is wanted. Raises what the database raises."""
        ahead = self._ahead
        if ahead is None or self._wanted != wanted:
            await self.drop()
            return await self._read(*wanted)
        self._ahead = None
        return await ahead

    def begin(self, *wanted: *Wanted) -> None:
        """Begin to read what is going to be wanted."""
        self._wanted, self._ahead = wanted, asyncio.ensure_future(self._read(*wanted))

    async def drop(self) -> None:
        """Forget what was read ahead, its error included."""
        if (ahead := self._ahead) is not None:
            self._ahead = None
            ahead.cancel()
            await asyncio.gather(ahead, return_exceptions=True)


class WriteBehind:
    """Writes down what came of a portion while the next one is on its way."""

    def __init__(self, write: Callable[[Landed], Awaitable[bool]]) -> None:
        self._write = write
        self._writing: asyncio.Future[bool] | None = None

    async def begin(self, landed: Landed) -> None:
        """Begin to write this; what came before must be written."""
        if self._writing is not None:
            raise RuntimeError("the portion before is not written down yet")
        self._writing = asyncio.ensure_future(self._write(landed))
        # It begins now: handing over the next portion holds the loop for long, and is what it is to go on beside.
        await asyncio.sleep(0)

    async def end(self) -> None:
        """Until nothing is left to be written: as long as ``write`` tries."""
        if (writing := self._writing) is not None:
            self._writing = None
            # Whoever waits may be cancelled; what is written down is not to be.
            await asyncio.shield(writing)


class UnderWay:
    """The portion that is on its way. What became of it is looked at when the next one is handed over behind it: a
    broker that takes long to confirm never waits for us."""

    def __init__(
        self,
        settle: Callable[[Flight, Flight | None], Awaitable[Results]],
        landed: Callable[[Portion, Results], Awaitable[None]],
    ) -> None:
        self._settle = settle
        self._landed = landed
        self._now: tuple[Portion, Flight] | None = None

    @property
    def has_landed(self) -> bool:
        """Whether what became of it is known: it can be looked at without waiting."""
        return self._now is not None and all(answer.done() for answer in self._now[1].answers)

    async def follow(self, portion: Portion, flight: Flight) -> None:
        """This one was handed over; the one before is settled."""
        before, self._now = self._now, (portion, flight)
        await self._land(before, flight)

    async def land(self) -> None:
        """Settle what there is."""
        before, self._now = self._now, None
        await self._land(before, None)

    async def _land(self, before: tuple[Portion, Flight] | None, behind: Flight | None) -> None:
        if before is not None:
            portion, flight = before
            await self._landed(portion, await self._settle(flight, behind))

"""The database beside the wire: while a portion is sent, the next one is read and the one before is written down.

Owns that it is one portion each and no more: what is sent and not written down is in doubt if the worker dies now.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Mapping

from stompconsole.deadletters.portions import Portion
from stompconsole.deadletters.resending import Results

Wanted = tuple[int, tuple[str, ...], int]
"""After which item, without which brokers, how many at most."""

Unsendable = Mapping[uuid.UUID, str]
"""Why, by dead letter."""


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
    """Writes down what came of a portion: at once, or while the next one is sent."""

    def __init__(self, write: Callable[[Results, Unsendable], Awaitable[bool]]) -> None:
        self._write = write
        self._kept: tuple[Results, Unsendable] | None = None
        self._writing: asyncio.Future[bool] | None = None

    def keep(self, results: Results, unsendable: Unsendable) -> None:
        """To be written down; what was kept before must be. Not the portion itself: it has bodies."""
        if self._kept is not None or self._writing is not None:
            raise RuntimeError("the portion before is not written down yet")
        self._kept = results, unsendable

    def begin(self) -> None:
        """Begin to write what is kept."""
        if self._kept is not None:
            self._writing, self._kept = asyncio.ensure_future(self._write(*self._kept)), None

    async def end(self) -> None:
        """Until nothing is left to be written: as long as ``write`` tries."""
        self.begin()
        if (writing := self._writing) is not None:
            self._writing = None
            # Whoever waits may be cancelled; what is written down is not to be.
            await asyncio.shield(writing)

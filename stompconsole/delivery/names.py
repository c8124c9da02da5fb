"""What a sender has found out about the destinations of its broker: by which name each takes what is sent.

RabbitMQ declares the queue of each SEND. One that exists with other properties, as django-stomp's do, ends the
connection, with whatever else is on its way there. So the first message to a destination goes alone, and from then on
its name is known: its own, or for a while another one that declares nothing. Thread-safe.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from stompconsole.transport.session import Endpoint

RESPELT_FOR_S = 60.0
"""How long a queue that exists with other properties is taken to be there still: its other name declares nothing,
and RabbitMQ confirms what is sent to a queue that has been deleted, and drops it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Other:
    """Another name, ``at`` one endpoint."""

    name: str
    at: Endpoint
    until: float


class Names:
    """The names that one sender knows."""

    def __init__(self) -> None:
        self._own: set[str] = set()
        self._other: dict[str, _Other] = {}

    def is_known(self, destination: str) -> bool:
        """Whether a message can go there without ending the session."""
        other = self._other.get(destination)
        return destination in self._own if other is None else time.monotonic() < other.until

    def at(self, endpoint: Endpoint, destination: str) -> str:
        """What to call it there: another broker need not have it."""
        other = self._other.get(destination)
        return other.name if other is not None and other.at == endpoint else destination

    def others(self) -> list[str]:
        """The destinations that have another name."""
        return list(self._other)

    def taken(self, destination: str) -> None:
        """A message got there."""
        self._own.add(destination)

    def clashed(self, destination: str, name: str, endpoint: Endpoint) -> None:
        """It exists with other properties, and is to be called ``name``."""
        self._own.discard(destination)
        self._other[destination] = _Other(name=name, at=endpoint, until=time.monotonic() + RESPELT_FOR_S)

    def find_out(self, destination: str) -> None:
        """The next message there goes by its own name."""
        self._own.discard(destination)
        self._other.pop(destination, None)

    def forget(self) -> None:
        """It may be another broker now: nothing is known."""
        self._own.clear()
        self._other.clear()

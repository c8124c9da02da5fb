"""The development broker: plain STOMP 1.2 that also tells how much waits in its queues."""

from __future__ import annotations

from collections.abc import Mapping

from stompconsole.brokers.depths import OverStomp, devbroker
from stompconsole.brokers.dialect import Dialect


class Development(Dialect):
    """Never for production, and of no kind of its own: nobody chooses it, it is known by its greeting."""

    def depths_over_stomp(self) -> OverStomp:
        return devbroker.read

    def origin(self, headers: Mapping[str, str]) -> str:
        return headers.get("original-destination", "")

"""What a broker says of a queue, and what it takes to ask. Values only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Protocol

import httpx

from stompconsole.transport.session import Session

QUEUE_PREFIXES = ("/amq/queue/", "/queue/")

_MILLISECONDS_FROM = 100_000_000_000
"""A time above this is in milliseconds: in seconds it would be in the year 5138."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Depth:
    """``waiting`` for somebody to take them, ``in_flight`` handed out and not settled; ``oldest_at`` is when the first
    of those that wait was sent. None for what the broker does not tell; without ``waiting``, ``reason`` says why."""

    waiting: int | None = None
    in_flight: int | None = None
    consumers: int | None = None
    oldest_at: datetime | None = None
    reason: str = ""


EMPTY = Depth(waiting=0, in_flight=0, consumers=0)
"""A queue that the broker does not have holds nothing."""


def unknown(reason: str) -> Depth:
    """Nothing is known, and why, in words."""
    return Depth(reason=reason)


@dataclass(frozen=True, slots=True, kw_only=True)
class Management:
    """A broker's HTTP side and the login for it. ``ca_certs`` is a PEM file; empty means the system's authorities."""

    url: str
    user: str = ""
    password: str = field(default="", repr=False)
    vhost: str = ""
    verify: bool = True
    ca_certs: str = ""


class OverHttp(Protocol):
    """Asks a management API for some queues, by destination."""

    def __call__(self, http: httpx.Client, place: Management, destinations: Sequence[str]) -> Mapping[str, Depth]:
        """What it says; a destination that is left out is not known. Raises httpx.HTTPError, ValueError."""


class OverStomp(Protocol):
    """Asks over a session of its own."""

    def __call__(self, session: Session, destinations: Sequence[str]) -> Mapping[str, Depth]:
        """What it says; a destination that is left out is not known. Raises BrokerError, NoAnswer."""


class NoAnswer(Exception):
    """Nobody answered; says what that means."""


def queue_of(destination: str) -> str:
    """``/queue/orders`` -> ``orders``; what has no such prefix is the name itself."""
    for prefix in QUEUE_PREFIXES:
        destination = destination.removeprefix(prefix)
    return destination


def moment(stamp: object) -> datetime | None:
    """A time as brokers write it, in seconds or milliseconds since 1970; None for none and for nonsense."""
    if not isinstance(stamp, int | float) or isinstance(stamp, bool) or stamp <= 0:
        return None
    try:
        return datetime.fromtimestamp(stamp / 1000 if stamp > _MILLISECONDS_FROM else stamp, UTC)
    except (OverflowError, OSError, ValueError):
        return None


def count(value: object) -> int | None:
    """A number of messages; None for anything else."""
    return max(0, int(value)) if isinstance(value, int | float) and not isinstance(value, bool) else None

"""What a handler receives."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

Handler = Callable[["Payload"], None] | Callable[["Payload"], Awaitable[None]]
"""The team's callable, sync or async."""


@dataclass(frozen=True, slots=True)
class Payload:
    """One message as its handler sees it; the same four members as django-stomp's, in the same order.

    ``ack()`` and ``nack()`` settle it by hand, once: a second call is ignored and logged. ``nack()`` is a dead
    letter. A handler that calls neither and returns has its message ACKed; one that raises leaves it to the
    consumer's retry policy.
    """

    ack: Callable[[], None]
    nack: Callable[[], None]
    headers: dict[str, str]
    body: Any

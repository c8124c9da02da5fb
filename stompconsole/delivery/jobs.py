"""What a sender is given to send, and what will become of it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from stompconsole.delivery.awaited import Answer


@dataclass(frozen=True, slots=True)
class Message:
    """What goes into a SEND, with its headers less those of the frame itself."""

    destination: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One SEND, or several in a transaction, and by name where they go."""

    messages: Sequence[Message]
    destinations: Collection[str]
    answer: Answer = field(default_factory=Answer)
    tries: int = 1

    @property
    def destination(self) -> str:
        """Where it goes, or the first of them."""
        return self.messages[0].destination

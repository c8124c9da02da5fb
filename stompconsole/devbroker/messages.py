"""A message as the broker keeps it, its place in a queue, and one handing-out of it.

Owns which headers of a SEND are kept and how they look on a MESSAGE frame. Refuses to know who gets it.
"""

from __future__ import annotations

import enum
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from stompconsole.devbroker.frames import Frame, Version, encode_headers

OVERHEAD_BYTES = 512
"""What a kept message costs beside its text, roughly."""

_NOT_KEPT = frozenset(
    {
        "ack", "content-length", "destination", "message-id", "original-destination", "receipt", "receipt-id",
        "redelivered", "subscription", "transaction",
    }
)  # fmt: skip
"""Headers of a SEND that speak to the broker, or that the broker itself puts on a MESSAGE."""


class BodyLength(enum.Enum):
    """Whether the SEND had a content-length; the MESSAGE mirrors it, as ActiveMQ does."""

    GIVEN = "given"
    OPEN = "open"


@dataclass(slots=True, eq=False, kw_only=True)
class Message:
    """One message. ``headers`` are the sender's own; the bytes of its head are made once per version."""

    message_id: str
    destination: str
    headers: Mapping[str, str]
    body: bytes
    body_length: BodyLength
    origin: str = ""
    """The destination it was dead-lettered from; empty if it was not."""
    came_at: float = field(init=False, default_factory=time.monotonic)
    size: int = field(init=False)
    _heads: dict[Version, bytes] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        text = sum(len(name) + len(value) for name, value in self.headers.items())
        self.size = OVERHEAD_BYTES + text + len(self.body)

    @property
    def persistent(self) -> bool:
        """Only the exact value counts, as on ActiveMQ."""
        return self.headers.get("persistent") == "true"

    def common_headers(self) -> dict[str, str]:
        """The headers that are the same for everybody who gets it."""
        headers = {"destination": self.destination, "message-id": self.message_id, **self.headers}
        if self.origin:
            headers["original-destination"] = self.origin
        if self.body_length is BodyLength.GIVEN:
            headers["content-length"] = str(len(self.body))
        return headers

    def head(self, version: Version) -> bytes:
        """The bytes of those headers with the empty line at their end."""
        head = self._heads.get(version)
        if head is None:
            head = self._heads[version] = encode_headers(self.common_headers(), version) + b"\n"
        return head

    def dead_lettered(self, destination: str, message_id: str) -> Message:
        """The same message in a dead-letter queue."""
        return Message(
            message_id=message_id,
            destination=destination,
            headers=self.headers,
            body=self.body,
            body_length=self.body_length,
            origin=self.destination,
        )


def from_send(frame: Frame, message_id: str) -> Message:
    """The message of a SEND frame."""
    return Message(
        message_id=message_id,
        destination=frame.headers["destination"],
        headers={name: value for name, value in frame.headers.items() if name not in _NOT_KEPT},
        body=frame.body,
        body_length=BodyLength.GIVEN if "content-length" in frame.headers else BodyLength.OPEN,
    )


@dataclass(slots=True, eq=False)
class Entry:
    """A message at its place in a queue, which it keeps when it comes back."""

    position: int
    message: Message
    redelivered: bool = False

    def __lt__(self, other: Entry) -> bool:
        return self.position < other.position

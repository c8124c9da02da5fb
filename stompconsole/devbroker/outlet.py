"""Writes the MESSAGE frames of one subscription. The hottest code of the broker: bytes are made once where they can be.

Owns the broker's headers of a MESSAGE, which come before the sender's: the first of repeated ones counts.
"""

from __future__ import annotations

from typing import Protocol

from stompconsole.devbroker.frames import Version, escape
from stompconsole.devbroker.queues import AckMode, Delivery
from stompconsole.devbroker.transcripts import Transcript, Way

REDELIVERED = b"redelivered:true\n"
END = b"\0"


class Writer(Protocol):
    """Where bytes go."""

    @property
    def writable(self) -> bool:
        """Whether another message may be written now."""

    def write(self, *parts: bytes) -> None:
        """Write bytes, in order, soon."""


class Outlet:
    """The receiver of one subscription (``queues.Receiver``)."""

    def __init__(
        self, writer: Writer, transcript: Transcript, subscription_id: str, version: Version, ack_mode: AckMode
    ) -> None:
        self._writer = writer
        self._transcript = transcript
        self._version = version
        identifier = escape(subscription_id, version).encode("utf-8", "replace")
        self._start = b"MESSAGE\nsubscription:%b\n" % identifier
        # STOMP 1.1 has no ack header, and nothing is to be settled in mode auto.
        self._ack = b"" if version is Version.V11 or ack_mode is AckMode.AUTO else b"@%b\n" % identifier

    @property
    def writable(self) -> bool:
        return self._writer.writable

    def deliver(self, delivery: Delivery) -> None:
        entry = delivery.entry
        message = entry.message
        start = self._start
        if self._ack:
            start += b"ack:%d" % delivery.number + self._ack
        if entry.redelivered:
            start += REDELIVERED
        self._writer.write(start, message.head(self._version), message.body, END)
        if self._transcript.wanted:
            self._transcript.add(Way.SENT, "MESSAGE", self._headers(delivery))

    def _headers(self, delivery: Delivery) -> dict[str, str]:
        headers = {"subscription": delivery.subscription.id}
        if self._ack:
            headers["ack"] = delivery.key
        if delivery.entry.redelivered:
            headers["redelivered"] = "true"
        return {**headers, **delivery.entry.message.common_headers()}

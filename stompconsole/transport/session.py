"""The contract of a session, one STOMP connection from CONNECTED to its end, and what it takes to open one.

A session never reconnects in place: after a loss a new one is opened, so that nothing of the old one can
be settled on the new. All times in seconds.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Protocol

from stompconsole.transport.frames import Frame
from stompconsole.transport.outcome import Told

FrameSink = Callable[[Frame], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """How to trust the broker. ``ca_certs`` is a PEM file; empty means the system's authorities."""

    verify: bool = True
    ca_certs: str = ""
    cert_file: str = ""
    key_file: str = ""
    key_password: str = field(default="", repr=False)


class Place(enum.StrEnum):
    """Which of a broker's endpoints one is: where sessions belong, or where they go while that is gone."""

    PRIMARY = "primary"
    STANDBY = "standby"


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One place a broker listens at."""

    host: str
    port: int
    tls: Tls | None = None
    place: Place = Place.PRIMARY

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """Who we are to the broker. ``vhost`` is the ``host`` header of CONNECT; empty means ``/``, as RabbitMQ has it."""

    user: str = ""
    password: str = field(default="", repr=False)
    vhost: str = ""
    client_id: str = ""


class Session(Protocol):
    """One open STOMP connection. Its methods may be called from any thread."""

    @property
    def server(self) -> str:
        """The ``server`` header of CONNECTED, or an empty string."""

    @property
    def watched(self) -> bool:
        """Whether the broker has promised heart-beats, so that the session ends when nobody is there any more."""

    @property
    def endpoint(self) -> Endpoint:
        """Where the session is connected to."""

    @property
    def close_reason(self) -> str | None:
        """Why the session ended, in words; ``None`` while it is open."""

    @property
    def unnamed_errors(self) -> int:
        """How many ERRORs have come that named no frame, those about frames without a receipt among them."""

    def on_close(self, callback: Callable[[str], None]) -> None:
        """Have ``callback(reason)`` called once when the session ends, at once if it has."""

    def subscribe(
        self, subscription_id: str, destination: str, ack: str, headers: Mapping[str, str], sink: FrameSink
    ) -> Future[None]:
        """SUBSCRIBE; every MESSAGE of it goes to ``sink`` on the io thread, which must only enqueue.

        The future is done with the broker's RECEIPT, or fails with BrokerRefused or SessionClosed.
        """

    def unsubscribe(self, subscription_id: str, headers: Mapping[str, str]) -> Future[None]:
        """UNSUBSCRIBE; the future is done with its RECEIPT."""

    def request(self, command: str, headers: Mapping[str, str], body: bytes = b"") -> Future[None]:
        """Write a frame with a receipt; done with its RECEIPT, failed with BrokerRefused or SessionClosed."""

    def prepare(
        self, command: str, headers: Mapping[str, str], body: bytes, told: Told, *, by_name: bool = False
    ) -> bytes:
        """The same, but for the writing: the frame is ``write``'s, and ``told`` is called once with what becomes of it,
        on the io thread mostly. Empty where the session has ended, which is told then. ``by_name``: no ERROR is about
        it but one that says so."""

    def write(self, data: bytes) -> None:
        """Write encoded frames as they are, in one go. Raises SessionClosed."""

    def disconnect(self, timeout_s: float) -> bool:
        """DISCONNECT with a receipt and close; true if the broker confirmed in time. Never raises."""

    def abort(self, reason: str) -> None:
        """Close the socket at once: what is un-acked goes back to the broker. Never raises."""

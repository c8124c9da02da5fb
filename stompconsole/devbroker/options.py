"""How a development broker is set up: one frozen value.

Owns defaults and the rule that only loopback addresses are listened on. What can't work is a ConfigurationError.
"""

from __future__ import annotations

import enum
import ipaddress
from dataclasses import dataclass, field

from stompconsole.errors import ConfigurationError

MIB = 1024 * 1024


class NackPolicy(enum.Enum):
    """What becomes of a message that a client NACKs."""

    DEAD_LETTER = "dead-letter"
    """It goes to ``/queue/DLQ.<name>``, as with ActiveMQ's individual strategy, but persistent or not."""
    REQUEUE = "requeue"
    """It goes back to where it was, at once, as on RabbitMQ."""
    DISCARD = "discard"
    """It is gone, as on Artemis."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameLimits:
    """The largest frame taken from a client. Sizes in bytes."""

    head_bytes: int = 64 * 1024
    headers: int = 1_000
    body_bytes: int = 64 * MIB


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerOptions:
    """Where to listen, who may log in, and limits. An empty ``user`` lets anybody in; port 0 takes a free one."""

    host: str = "127.0.0.1"
    port: int = 61613
    user: str = ""
    password: str = field(default="", repr=False)
    nack: NackPolicy = NackPolicy.DEAD_LETTER
    frames: FrameLimits = FrameLimits()
    queue_messages: int = 100_000
    """The most messages one queue may hold."""
    total_bytes: int = 512 * MIB
    """The most bytes all queues may hold together."""
    backlog_messages: int = 10_000
    """The most messages kept for one subscription to a topic; then its oldest are dropped."""
    backlog_bytes: int = 32 * MIB
    """The same in bytes."""
    connect_timeout_s: float = 10.0
    """How long a client may take to send CONNECT."""
    transcript_frames: int = 0
    """How many frames of each connection are remembered; 0 for none."""

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65_535:
            raise ConfigurationError(f"port {self.port} does not exist: give 0 (any free one) to 65535")
        if self.password and not self.user:
            raise ConfigurationError("a password was given without a user: give both or neither")
        loopback_address(self.host)


def loopback_address(host: str) -> str:
    """The address to listen on. Raises ConfigurationError for a host that other machines could reach."""
    # Not looked up: a resolver could give "localhost" an address that is not loopback.
    address = "127.0.0.1" if host == "localhost" else host
    try:
        is_loopback = ipaddress.ip_address(address).is_loopback
    except ValueError:
        is_loopback = False
    if not is_loopback:
        raise ConfigurationError(
            f"the development broker can't listen on {host!r}: it is not for production and takes loopback addresses "
            "only (127.0.0.1, ::1, localhost)"
        )
    return address

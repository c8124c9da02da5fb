"""What the headers of a client's frame say. Raises Refused for what can't be meant."""

from __future__ import annotations

from stompconsole.devbroker.frames import Frame
from stompconsole.devbroker.queues import AckMode
from stompconsole.devbroker.refusals import Refused

DEFAULT_PREFETCH = 1_000
PREFETCH_HEADERS = ("prefetch-count", "activemq.prefetchSize")


def needed(frame: Frame, name: str) -> str:
    """The value of a header that must be there."""
    value = frame.headers.get(name)
    if value is None:
        raise Refused(f"a {frame.command} frame needs the header {name!r}")
    return value


def ack_mode(frame: Frame) -> AckMode:
    """The ack mode of a SUBSCRIBE; ``auto`` without the header."""
    text = frame.headers.get("ack", AckMode.AUTO)
    try:
        return AckMode(text)
    except ValueError:
        raise Refused(f"the ack mode {text[:40]!r} does not exist: it must be one of {', '.join(AckMode)}") from None


def prefetch(frame: Frame) -> int:
    """How many unsettled deliveries a SUBSCRIBE allows, in the header of RabbitMQ or of ActiveMQ."""
    for name in PREFETCH_HEADERS:
        text = frame.headers.get(name)
        if text is not None:
            if not (text.isascii() and text.isdigit() and len(text) < 10 and int(text) > 0):
                raise Refused(f"{name} is {text[:40]!r}: it must be a whole number from 1")
            return int(text)
    return DEFAULT_PREFETCH

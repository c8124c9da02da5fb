"""What a subscription asks of a broker, and the SUBSCRIBE that a dialect makes of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

TOPIC = "/topic/"
QUEUES = ("/amq/queue/", "/queue/")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """One subscription, whatever the broker. ``subscriber`` names a durable subscription to a topic: messages sent
    while nobody is there wait under that name; empty means none. ``exclusive``: one subscription gets all.
    ``ack`` is the header of SUBSCRIBE. ``declared`` are properties that its queue is known to have been declared
    with."""

    destination: str
    prefetch: int
    subscriber: str = ""
    exclusive: bool = False
    ack: str = "client-individual"
    declared: tuple[tuple[str, str], ...] = ()

    @property
    def is_topic(self) -> bool:
        """Whether every subscription gets a copy of each message."""
        return self.destination.startswith(TOPIC)

    @property
    def is_durable(self) -> bool:
        """Whether messages of a topic are to wait for it."""
        return self.is_topic and bool(self.subscriber)


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscribe:
    """The frame's destination, and its headers but for ``id``, ``ack`` and ``destination``."""

    destination: str
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Otherwise:
    """The same subscription asked for in another way, and a sentence on what is different then."""

    wanted: Wanted
    remark: str


def virtual_topic(destination: str) -> str:
    """``/queue/Consumer.A.VirtualTopic.x`` -> ``VirtualTopic.x``: the topic whose messages that queue is a copy of.

    Empty when the destination is no such queue. ActiveMQ's naming, which django-stomp took to RabbitMQ as well.
    """
    name = destination
    for prefix in QUEUES:
        name = name.removeprefix(prefix)
    consumer, found, topic = name.partition(".VirtualTopic.")
    return f"VirtualTopic.{topic}" if found and topic and consumer.startswith("Consumer.") else ""

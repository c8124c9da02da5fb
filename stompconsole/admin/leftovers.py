"""What a broker goes on collecting for a subscriber that no definition speaks of any more.

A durable subscription, and the queue of a virtual topic, are the broker's once they are made: it fills them whether or
not somebody reads. Nothing is removed from here, since there may be messages in them: it is said, and how to do it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from stompconsole.brokers import BrokerKind, Dialect, dialect_for
from stompconsole.models import Broker, Consumer

KINDS = (BrokerKind.RABBITMQ, BrokerKind.ACTIVEMQ, BrokerKind.ARTEMIS)
"""What a broker may be while nobody has told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What the broker keeps for a consumer, as one of ``dialects`` has it: ``words`` say it, and how to end it."""

    consumer: str
    broker_id: int
    dialects: tuple[Dialect, ...]
    words: str


def kept_for(consumers: Iterable[Consumer]) -> list[Kept]:
    """What brokers keep for these rows, to be asked before they change: the kind of a broker is known by what its
    consumers have heard."""
    found = ((row, _dialects(row.broker)) for row in consumers)
    return [
        Kept(consumer=row.name, broker_id=row.broker_id, dialects=dialects, words=words)
        for row, dialects in found
        if (words := _words(dialects, row))
    ]


def left_behind(kept: Iterable[Kept]) -> list[Kept]:
    """Those that no row reads, as rows are now."""
    return [each for each in kept if not _is_read(each)]


def left_without(consumers: Iterable[Consumer]) -> list[Kept]:
    """Those that would be left behind if these rows were deleted."""
    rows = list(consumers)
    gone = {row.pk for row in rows}
    return [each for each in kept_for(rows) if not _is_read(each, gone)]


def _dialects(broker: Broker) -> tuple[Dialect, ...]:
    return (broker.dialect(),) if broker.is_known else tuple(dialect_for(kind, "") for kind in KINDS)


def _words(dialects: tuple[Dialect, ...], row: Consumer) -> str:
    said = list(filter(None, (dialect.keeps(row.wanted) for dialect in dialects)))
    unknown = ["No worker is connected to tell what the broker is."] if said and len(dialects) > 1 else []
    return " ".join(unknown + said)


def _is_read(kept: Kept, gone: Iterable[int] = ()) -> bool:
    rows = Consumer.objects.filter(broker=kept.broker_id).exclude(pk__in=gone)
    return any(_words(kept.dialects, row) == kept.words for row in rows)

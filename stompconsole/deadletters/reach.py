"""Who gets a message that is replayed: the consumer it failed in alone, or every subscriber of a topic again.

Owns no sending: what the broker knows of a subscription is its dialect's to say.
"""

from __future__ import annotations

from django.db.models import QuerySet

from stompconsole.brokers import Wanted
from stompconsole.brokers.subscribing import TOPIC
from stompconsole.models import Consumer, DeadLetter


def subscription(consumer: Consumer, origin: str) -> Wanted:
    """The subscription of ``consumer`` that a message from ``origin`` came by; without a name of its own, where the
    consumer reads something else by now."""
    wanted = consumer.wanted
    return wanted if wanted.destination == origin else Wanted(destination=origin, prefetch=wanted.prefetch)


def reaching_everyone(rows: QuerySet[DeadLetter]) -> tuple[str, ...]:
    """The topics among the origins of these dead letters of which every subscriber would get a replay."""
    of_topics = rows.filter(origin__startswith=TOPIC, consumer__isnull=False)
    pairs = list(of_topics.order_by().values_list("consumer_id", "origin").distinct())
    consumers = Consumer.objects.select_related("broker").in_bulk({pk for pk, _ in pairs}) if pairs else {}
    found = {origin for pk, origin in pairs if pk in consumers and not _has_own_address(consumers[pk], origin)}
    return tuple(sorted(found))


def _has_own_address(consumer: Consumer, origin: str) -> bool:
    return bool(consumer.broker.dialect().own_address(subscription(consumer, origin)))

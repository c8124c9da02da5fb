"""What may stand in the way of dead letters that are to be sent again, counted with the rest of a preview.

Owns what a broker is taken to bear and how ages are told apart. Says nothing of what is certain: limits can be raised.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime, timedelta

from django.db.models import Count, Q

from stompconsole.models import Broker, Consumer, Subscription, open_breakers

AGES = {"last hour": timedelta(hours=1), "last day": timedelta(days=1), "last week": timedelta(days=7)}
"""Upper bounds, youngest first; what is older than all is ``OLDER``."""

OLDER = "before that"


def counts(now: datetime) -> dict[str, Count]:
    """Expressions for ``aggregate``: ``paused``, ``breaker_open``, ``too_large``, ``replayed_often``, and one for each
    age."""
    consumers = list(Consumer.objects.select_related("broker"))
    held_up = Subscription.objects.filter(open_breakers()).values("consumer")
    return {
        "paused": _number(Q(consumer__in=[consumer.pk for consumer in consumers if consumer.paused])),
        "breaker_open": _number(Q(consumer__in=held_up)),
        "too_large": _number(_too_large(consumers)),
        "replayed_often": _number(Q(replays__gt=1)),
        **{f"age_{place}": _number(within) for place, within in enumerate(_ages(now))},
    }


def by_age(counted: dict[str, int]) -> dict[str, int]:
    """How many failed when, taken out of what ``counts`` has counted."""
    labels = [*AGES, OLDER]
    return {label: counted.pop(f"age_{place}") for place, label in enumerate(labels)}


def _number(condition: Q) -> Count:
    return Count("pk", filter=condition)


def _ages(now: datetime) -> list[Q]:
    bounds = [now - span for span in AGES.values()]
    newer = [Q(failed_at__gte=bounds[0])]
    between = [Q(failed_at__gte=low, failed_at__lt=high) for high, low in itertools.pairwise(bounds)]
    return [*newer, *between, Q(failed_at__lt=bounds[-1])]


def _too_large(consumers: Iterable[Consumer]) -> Q:
    """Bodies beyond what the broker of their consumer takes where nobody has raised it."""
    of_broker: dict[Broker, list[int]] = defaultdict(list)
    for consumer in consumers:
        of_broker[consumer.broker].append(consumer.pk)
    found = Q(pk__in=[])
    for broker, ids in of_broker.items():
        # Asked once for each broker: it may have to look up its greeting.
        if (limit := broker.dialect().usual_body_limit) is not None:
            found |= Q(consumer__in=ids, body_size__gt=limit)
    return found

"""Creating what was planned: all of it in one transaction, each row with its audit entry, or nothing."""

from __future__ import annotations

from collections.abc import Iterable

from django.db import transaction

from stompconsole import audit
from stompconsole.audit import Action
from stompconsole.importing.planning import Candidate, Fate
from stompconsole.models import Broker, Consumer
from stompconsole.models.default_broker import keep_default_broker

ACTOR = "import_pubsub"


def create(candidates: Iterable[Candidate], broker: Broker) -> list[Consumer]:
    """Save the new ones, and the broker if it is not saved yet; gives the rows. Raises what the database raises."""
    new = [candidate for candidate in candidates if candidate.fate is Fate.NEW]
    if not new:
        return []
    with transaction.atomic():
        saved = broker if broker.pk else _default_broker()
        return [_create(candidate, saved) for candidate in new]


def _default_broker() -> Broker:
    made = keep_default_broker()
    assert made is not None, "a broker that is not saved is the one that the settings describe"
    audit.record(
        Action.BROKER_ADDED, f"broker {made}", actor=None, actor_name=ACTOR, detail="from the STOMP_* settings"
    )
    return made


def _create(candidate: Candidate, broker: Broker) -> Consumer:
    consumer = candidate.consumer
    consumer.broker = broker
    consumer.full_clean()
    consumer.save()
    places = [str(place) for place in candidate.places]
    audit.record(
        Action.CONSUMER_ADDED,
        f"consumer {consumer}",
        actor=None,
        actor_name=ACTOR,
        consumer=consumer,
        detail=f"from {', '.join(places)}" + (", paused" if consumer.paused else ""),
        data={"from": places},
    )
    return consumer

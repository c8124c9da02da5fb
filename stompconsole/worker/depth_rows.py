"""What to ask the brokers about the queues of their consumers, and what they said, as rows. Blocking calls.

Asked by one of the living workers: the one that leads.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from django.db import IntegrityError, transaction
from django.db.models.functions import Now

from stompconsole.brokers import Wanted
from stompconsole.brokers.depths import Depth, unknown
from stompconsole.delivery.depths import Question
from stompconsole.delivery.specs import BrokerSpec, Purpose
from stompconsole.errors import ConfigurationError
from stompconsole.models import Broker, Consumer, QueueDepth, Subscription
from stompconsole.models.consumer import MAX_DESTINATION

logger = logging.getLogger(__name__)

MAX_REASON = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """One row of depth, and the subscription that its queue feeds."""

    consumer_id: int
    purpose: Purpose
    wanted: Wanted


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """What to ask of one broker now, and for which rows. ``question`` is None if its row can't be used: ``problem``
    says why."""

    broker_id: int
    broker: str
    slots: tuple[Slot, ...]
    question: Question | None = None
    problem: str = ""

    def rows_of(self, found: Mapping[Wanted, Depth]) -> list[tuple[Slot, Depth]]:
        """What was found, by row."""
        silent = unknown("the broker says nothing of it")
        return [(slot, found.get(slot.wanted, silent)) for slot in self.slots]


def rounds() -> list[Round]:
    """A round for each broker that has consumers. Two queries."""
    of_broker: dict[int, list[Consumer]] = defaultdict(list)
    for consumer in Consumer.objects.select_related("broker").order_by("pk"):
        of_broker[consumer.broker_id].append(consumer)
    heard = _heard()
    return [_round(consumers, heard) for consumers in of_broker.values()]


def _heard() -> dict[int, tuple[str, str]]:
    """By broker how it greeted whoever is connected, and where that is."""
    rows = Subscription.objects.exclude(server="").filter(lease_until__gt=Now()).order_by("reported_at")
    return {
        broker: (server, at) for broker, server, at in rows.values_list("consumer__broker_id", "server", "endpoint")
    }


def _round(consumers: Sequence[Consumer], heard: Mapping[int, tuple[str, str]]) -> Round:
    broker = consumers[0].broker
    slots = tuple(slot for consumer in consumers for slot in _slots(consumer))
    server, endpoint = heard.get(broker.pk, ("", ""))
    try:
        question = _question(broker, server, endpoint, slots)
    except ConfigurationError as error:
        return Round(broker_id=broker.pk, broker=broker.name, slots=slots, problem=str(error))
    return Round(broker_id=broker.pk, broker=broker.name, slots=slots, question=question)


def _slots(consumer: Consumer) -> Iterable[Slot]:
    yield Slot(consumer_id=consumer.pk, purpose=Purpose.CONSUME, wanted=consumer.wanted)
    dead = Wanted(destination=consumer.dead_letters_go_to, prefetch=1)
    yield Slot(consumer_id=consumer.pk, purpose=Purpose.CAPTURE, wanted=dead)


def _question(broker: Broker, server: str, endpoint: str, slots: Iterable[Slot]) -> Question:
    return Question(
        broker=_where_consumers_are(broker.spec(), endpoint),
        management=broker.management(),
        server=server,
        wanted=tuple({slot.wanted for slot in slots}),
    )


def _where_consumers_are(spec: BrokerSpec, endpoint: str) -> BrokerSpec:
    """The broker with the one endpoint that its consumers use: the depth of another would be another's."""
    found = next((each for each in spec.endpoints if str(each) == endpoint), spec.endpoints[0])
    return replace(spec, endpoints=(found,))


def write(found: Iterable[tuple[Slot, Depth]]) -> None:
    """Put down what brokers said."""
    try:
        with transaction.atomic():
            QueueDepth.objects.bulk_create(
                [_row(slot, depth) for slot, depth in found],
                update_conflicts=True,
                unique_fields=["consumer", "purpose"],
                update_fields=["destination", "waiting", "in_flight", "consumers", "oldest_at", "read_at", "reason"],
            )
    except IntegrityError:
        # A consumer was deleted meanwhile: the next round leaves it out.
        logger.info("depths are not written: a consumer is gone")


def _row(slot: Slot, depth: Depth) -> QueueDepth:
    return QueueDepth(
        consumer_id=slot.consumer_id,
        purpose=slot.purpose,
        destination=_name(slot.wanted)[:MAX_DESTINATION],
        waiting=depth.waiting,
        in_flight=depth.in_flight,
        consumers=depth.consumers,
        oldest_at=depth.oldest_at,
        # The database's clock, by which pages tell how old it is.
        read_at=Now(),
        reason=depth.reason.replace("\0", "")[:MAX_REASON],
    )


def _name(wanted: Wanted) -> str:
    """The destination; with the subscriber where each has a queue of its own."""
    return f"{wanted.destination}::{wanted.subscriber}" if wanted.is_durable else wanted.destination

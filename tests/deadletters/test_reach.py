"""Who gets a replay: which topics reach everyone, and by which subscription a dead letter came."""

from __future__ import annotations

import pytest

from stompconsole.deadletters import reach
from stompconsole.deadletters.filters import Filters, preview
from stompconsole.models import Consumer, DeadLetter
from tests.deadletters.making import make_broker, make_consumer, make_dead_letters

pytestmark = pytest.mark.django_db

TOPIC = "/topic/prices"


def consumer_on(kind: str, **fields: object) -> Consumer:
    return make_consumer(make_broker(kind=kind), **{"destination": TOPIC, **fields})


def everyone_of() -> tuple[str, ...]:
    return reach.reaching_everyone(DeadLetter.objects.all())


@pytest.mark.parametrize("kind", ["auto", "generic", "rabbitmq", "activemq", "artemis"])
def test_what_came_from_a_topic_that_is_not_durable_goes_to_everyone(kind: str) -> None:
    make_dead_letters(consumer_on(kind), 2)
    assert everyone_of() == (TOPIC,)


@pytest.mark.parametrize(("kind", "everyone"), [("rabbitmq", ()), ("artemis", ()), ("activemq", (TOPIC,))])
def test_a_durable_subscriber_is_reached_alone_where_the_broker_has_a_way(kind: str, everyone: tuple[str, ...]) -> None:
    make_dead_letters(consumer_on(kind, durable=True), 2)
    assert everyone_of() == everyone


def test_queues_reach_one_whatever_their_consumer_reads_now() -> None:
    make_dead_letters(consumer_on("rabbitmq", destination="/queue/orders"), 2)
    make_dead_letters(consumer_on("rabbitmq", destination="/queue/Consumer.A.VirtualTopic.x"), 2)
    make_dead_letters(None, 2, origin=TOPIC)
    assert everyone_of() == ()


def test_what_came_from_a_topic_that_the_consumer_has_left_has_no_queue_of_its_own() -> None:
    consumer = consumer_on("rabbitmq", durable=True)
    make_dead_letters(consumer, 1, origin="/topic/old")
    assert everyone_of() == ("/topic/old",)
    assert reach.subscription(consumer, "/topic/old").subscriber == ""
    assert reach.subscription(consumer, TOPIC).subscriber == f"{consumer.name}-listener"


def test_a_preview_names_the_topics_of_its_choice() -> None:
    one, other = consumer_on("activemq", durable=True), consumer_on("activemq", destination="/topic/other")
    make_dead_letters(one, 1)
    make_dead_letters(other, 1)
    assert preview(Filters()).to_everyone == ("/topic/other", TOPIC)
    assert preview(Filters(consumer=one.name)).to_everyone == (TOPIC,)


def test_a_preview_finds_a_topic_behind_more_origins_than_it_shows() -> None:
    queues = consumer_on("activemq", destination="/queue/orders")
    for number in range(25):
        make_dead_letters(queues, 2, origin=f"/queue/{number}")
    make_dead_letters(consumer_on("activemq"), 1)
    assert preview(Filters()).to_everyone == (TOPIC,)

"""What a dialect makes of a wanted subscription, and what it says of one that can't be, or is not what it seems.

That the brokers do as it says: ``tests/topics``.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from stompconsole.brokers import BrokerKind, Wanted, dialect_for
from stompconsole.brokers.subscribing import virtual_topic

RABBITMQ, ACTIVEMQ, GENERIC = (dialect_for(kind, "") for kind in ("rabbitmq", "activemq", "generic"))
QUEUE = Wanted(destination="/queue/orders", prefetch=10)
TOPIC = Wanted(destination="/topic/prices", prefetch=10)
DURABLE = replace(TOPIC, subscriber="shop-listener")
VIRTUAL = Wanted(destination="/queue/Consumer.A.VirtualTopic.prices", prefetch=10)


@pytest.mark.parametrize(
    ("destination", "topic"),
    [
        ("/queue/Consumer.A.VirtualTopic.x", "VirtualTopic.x"),
        ("Consumer.A.VirtualTopic.x", "VirtualTopic.x"),
        ("/amq/queue/Consumer.A.VirtualTopic.x.y", "VirtualTopic.x.y"),
        ("/queue/Consumer.MYDLQ.a.VirtualTopic.t", "VirtualTopic.t"),
        ("/queue/DLQ.Consumer.A.VirtualTopic.x", ""),
        ("/queue/Consumer.A.VirtualTopic.", ""),
        ("/queue/A.VirtualTopic.x", ""),
        ("/topic/VirtualTopic.x", ""),
        ("/queue/orders", ""),
    ],
)
def test_a_virtual_topic_s_queue_is_known_by_its_name(destination: str, topic: str) -> None:
    assert virtual_topic(destination) == topic


def test_activemq_names_the_subscription_of_a_topic_and_of_nothing_else() -> None:
    assert ACTIVEMQ.subscribe(DURABLE).headers["activemq.subscriptionName"] == "shop-listener"
    for wanted in (TOPIC, replace(QUEUE, subscriber="shop-listener")):
        assert "activemq.subscriptionName" not in ACTIVEMQ.subscribe(wanted).headers


@pytest.mark.parametrize(
    ("wanted", "destination", "queue"),
    [
        (DURABLE, "/topic/prices", "shop-listener:prices"),
        (replace(DURABLE, destination="/topic/a%2Fb"), "/topic/a%2Fb", "shop-listener:a/b"),
        (VIRTUAL, "/topic/VirtualTopic.prices", "Consumer.A.VirtualTopic.prices"),
        (
            replace(VIRTUAL, destination="Consumer.A.VirtualTopic.x"),
            "/topic/VirtualTopic.x",
            "Consumer.A.VirtualTopic.x",
        ),
    ],
)
def test_rabbitmq_binds_a_queue_of_the_subscriber_s_own(wanted: Wanted, destination: str, queue: str) -> None:
    subscribe = RABBITMQ.subscribe(wanted)
    assert subscribe.destination == destination
    named = {"x-queue-name": queue, "durable": "true", "auto-delete": "false"}
    assert subscribe.headers == {"prefetch-count": "10", **named}


@pytest.mark.parametrize("wanted", [QUEUE, TOPIC, replace(VIRTUAL, destination="/amq/queue/Consumer.A.VirtualTopic.x")])
def test_rabbitmq_binds_nothing_else(wanted: Wanted) -> None:
    subscribe = RABBITMQ.subscribe(wanted)
    assert (subscribe.destination, subscribe.headers) == (wanted.destination, {"prefetch-count": "10"})


@pytest.mark.parametrize("kind", list(BrokerKind)[1:])
def test_what_is_plain_has_nothing_to_be_said(kind: BrokerKind) -> None:
    dialect = dialect_for(kind, "")
    for wanted in (QUEUE, TOPIC):
        assert (dialect.cannot(wanted, 0), dialect.cannot(wanted, 3)) == ("", "")
        assert (dialect.caveats(wanted), dialect.keeps(wanted), dialect.remedy(wanted, "access_refused")) == (
            (),
            "",
            "",
        )
    assert (dialect.own_address(QUEUE), dialect.own_address(TOPIC)) == ("/queue/orders", "")


def test_a_durable_subscriber_of_activemq_is_one_connection() -> None:
    assert "set instances to 1" in ACTIVEMQ.cannot(DURABLE, 2)
    assert "set instances to 1" in ACTIVEMQ.cannot(DURABLE, 0)
    assert ACTIVEMQ.cannot(DURABLE, 1) == ""
    assert RABBITMQ.cannot(DURABLE, 5) == ""


def test_an_exclusive_queue_of_rabbitmq_is_one_connection_s_and_keeps_nothing() -> None:
    exclusive = replace(QUEUE, exclusive=True)
    assert "set instances to 1" in RABBITMQ.cannot(exclusive, 2)
    assert RABBITMQ.cannot(exclusive, 1) == ""
    assert "goes with what is in it" in RABBITMQ.caveats(exclusive)[0]
    for kept in (DURABLE, VIRTUAL):
        assert "can't be exclusive" in RABBITMQ.cannot(replace(kept, exclusive=True), 1)
        assert "exclusive" not in RABBITMQ.subscribe(replace(kept, exclusive=True)).headers


def test_a_queue_s_name_that_is_too_long_for_rabbitmq_is_refused_before_it_is_tried() -> None:
    assert RABBITMQ.cannot(replace(DURABLE, destination="/topic/" + "x" * 241), 1) == ""
    words = RABBITMQ.cannot(replace(DURABLE, destination="/topic/" + "x" * 242), 1)
    assert "a name of 256 bytes: 255 are allowed" in words


def test_exclusive_on_a_topic_has_no_effect_anywhere() -> None:
    for dialect in (RABBITMQ, ACTIVEMQ):
        assert "has no effect" in dialect.caveats(replace(TOPIC, exclusive=True))[0]


def test_what_plain_stomp_has_no_word_for_is_said() -> None:
    assert "no durable subscriptions" in GENERIC.caveats(DURABLE)[0]
    assert "no exclusive subscriptions" in GENERIC.caveats(replace(QUEUE, exclusive=True))[0]
    assert "no virtual topics" in GENERIC.caveats(VIRTUAL)[0]
    assert (GENERIC.cannot(DURABLE, 2), GENERIC.keeps(DURABLE), GENERIC.own_address(DURABLE)) == ("", "", "")


def test_what_a_broker_goes_on_collecting_is_named_with_the_way_to_end_it() -> None:
    kept = RABBITMQ.keeps(DURABLE)
    assert "what is sent to /topic/prices in the queue shop-listener:prices" in kept
    assert "rabbitmqctl delete_queue 'shop-listener:prices'" in kept
    assert "in the queue Consumer.A.VirtualTopic.prices" in RABBITMQ.keeps(VIRTUAL)
    assert "its durable subscriber shop-listener" in ACTIVEMQ.keeps(DURABLE)
    assert "what is sent to /topic/VirtualTopic.prices" in ACTIVEMQ.keeps(VIRTUAL)


def test_a_virtual_topic_s_queue_that_activemq_does_not_fill_is_pointed_out() -> None:
    two_words = replace(VIRTUAL, destination="/queue/Consumer.A.b.VirtualTopic.prices")
    assert "here are 2, so nothing will come" in ACTIVEMQ.caveats(two_words)[0]
    assert ACTIVEMQ.keeps(two_words) == ""
    assert ACTIVEMQ.caveats(VIRTUAL) == ()


def test_a_message_can_be_sent_to_one_subscriber_where_it_has_a_queue() -> None:
    assert RABBITMQ.own_address(DURABLE) == "/queue/shop-listener:prices"
    assert RABBITMQ.own_address(replace(DURABLE, destination="/topic/a%2Fb")) == "/queue/shop-listener:a%2Fb"
    assert RABBITMQ.own_address(VIRTUAL) == ACTIVEMQ.own_address(VIRTUAL) == VIRTUAL.destination
    assert ACTIVEMQ.own_address(DURABLE) == ""


def clash(queue: str, argument: str = "x-dead-letter-exchange") -> str:
    return (
        f"precondition_failed: PRECONDITION_FAILED - inequivalent arg '{argument}' for queue '{queue}' "
        "in vhost '/': received none but current is the value '' of type 'longstr'"
    )


def test_a_clash_about_another_queue_changes_nothing() -> None:
    for wanted in (QUEUE, TOPIC, DURABLE, VIRTUAL):
        assert RABBITMQ.otherwise(wanted, clash("another")) is None
        assert RABBITMQ.otherwise(wanted, "access_refused to queue 'orders'") is None
        assert ACTIVEMQ.otherwise(wanted, clash("orders")) is None


def test_a_bare_name_that_was_declared_by_someone_else_is_sent_to_as_well() -> None:
    assert RABBITMQ.undeclared("orders", clash("orders")) == "/amq/queue/orders"
    assert RABBITMQ.undeclared("/queue/a%2Fb", clash("a/b")) == "/amq/queue/a%2Fb"
    assert RABBITMQ.undeclared("/topic/orders", clash("orders")) is None
    assert RABBITMQ.undeclared("/amq/queue/orders", clash("orders")) is None

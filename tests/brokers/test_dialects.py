"""Dialects: by greeting, and what each declares."""

from __future__ import annotations

from dataclasses import replace

import pytest

from stompconsole.brokers import BrokerKind, NackMeans, Wanted, dialect_for


@pytest.mark.parametrize(
    ("server", "kind"),
    [
        ("RabbitMQ/3.10.8", BrokerKind.RABBITMQ),
        ("ActiveMQ/5.17.2", BrokerKind.ACTIVEMQ),
        ("ActiveMQ/6.3.1", BrokerKind.ACTIVEMQ),
        ("ActiveMQ-Artemis/2.44.0 ActiveMQ Artemis Messaging Engine", BrokerKind.ARTEMIS),
        ("", BrokerKind.GENERIC),
        ("stompconsole-devbroker/0.1.0", BrokerKind.GENERIC),
    ],
)
def test_the_greeting_names_the_dialect(server: str, kind: BrokerKind) -> None:
    assert dialect_for("auto", server).kind is kind


def test_a_kind_set_by_hand_wins_over_the_greeting() -> None:
    assert dialect_for("activemq", "RabbitMQ/3.10.8").kind is BrokerKind.ACTIVEMQ


def test_no_dialect_ever_sends_persistent_false() -> None:
    for kind in BrokerKind:
        assert dialect_for(kind, "").send_headers("/queue/a")["persistent"] == "true"


def test_prefetch_is_said_in_each_brokers_own_header() -> None:
    wanted = Wanted(destination="/queue/a", prefetch=7)
    assert dialect_for("rabbitmq", "").subscribe(wanted).headers == {"prefetch-count": "7"}
    assert dialect_for("activemq", "").subscribe(wanted).headers == {"activemq.prefetchSize": "7"}
    assert dialect_for("artemis", "").subscribe(replace(wanted, prefetch=1)).headers == {
        "subscription-type": "ANYCAST",
        "consumer-window-size": "1",
    }


def test_artemis_is_told_queue_or_topic_on_both_frames() -> None:
    artemis = dialect_for("artemis", "")
    assert artemis.send_headers("/topic/a")["destination-type"] == "MULTICAST"
    topic = Wanted(destination="/topic/a", prefetch=10)
    assert artemis.subscribe(topic).headers["subscription-type"] == "MULTICAST"


def test_where_a_brokers_own_dead_letter_came_from_is_read_from_its_headers() -> None:
    assert dialect_for("rabbitmq", "").origin({"x-first-death-queue": "orders"}) == "/queue/orders"
    assert dialect_for("activemq", "").origin({"original-destination": "/queue/orders"}) == "/queue/orders"
    assert dialect_for("artemis", "").origin({"_AMQ_ORIG_ADDRESS": "orders"}) == "orders"
    assert dialect_for("generic", "").origin({"x-first-death-queue": "orders"}) == ""


def test_a_queue_declared_by_someone_else_is_used_without_declaring_it() -> None:
    error = (
        "precondition_failed: PRECONDITION_FAILED - inequivalent arg 'x-dead-letter-exchange' for queue 'orders' "
        "in vhost '/': received none but current is the value '' of type 'longstr'"
    )
    rabbitmq = dialect_for("rabbitmq", "")
    assert rabbitmq.undeclared("/queue/orders", error) == "/amq/queue/orders"
    assert rabbitmq.undeclared("/queue/other", error) is None
    assert rabbitmq.undeclared("/queue/orders", "access_refused") is None
    assert dialect_for("activemq", "").undeclared("/queue/orders", error) is None


def test_each_broker_says_what_nack_does_to_a_message() -> None:
    means = {kind: dialect_for(kind, "").nack_means for kind in ("rabbitmq", "activemq", "artemis")}
    assert means == {
        "rabbitmq": NackMeans.REQUEUED,
        "activemq": NackMeans.DEAD_LETTERED,
        "artemis": NackMeans.LOST,
    }

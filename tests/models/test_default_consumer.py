"""A consumer as the STOMP_* settings describe one."""

from __future__ import annotations

import itertools

import pytest

from stompconsole.conf import stomp_with
from stompconsole.models import Broker, Consumer, default_consumer
from stompconsole.models.default_consumer import FIELDS_OF

HANDLER = "orders.handlers.price_of"


def row(destination: str = "/topic/prices", **settings: str) -> Consumer:
    return default_consumer.from_settings(
        stomp_with(settings), name="prices", broker=Broker(name="b"), destination=destination, handler=HANDLER
    )


@pytest.mark.parametrize(
    ("name", "value", "field", "expected"),
    [
        ("STOMP_PROCESS_MSG_WORKERS", "4", "concurrency", 4),
        ("STOMP_PROCESS_MSG_ON_BACKGROUND", "no", "prefetch", 1),
        ("STOMP_CORRELATION_ID_REQUIRED", "no", "correlation_id_required", False),
        ("STOMP_DURABLE_TOPIC_SUBSCRIPTION", "yes", "durable", True),
        ("STOMP_LISTENER_CLIENT_ID", "shop", "client_id", "shop"),
        ("STOMP_SUBSCRIPTION_ID", "s", "subscription_id", "s"),
        ("STOMP_DEFAULT_EXCLUSIVE_QUEUE", "yes", "exclusive", True),
    ],
)
def test_each_setting_decides_its_field(name: str, value: str, field: str, expected: object) -> None:
    assert field in FIELDS_OF[name]
    assert getattr(row(), field) != expected
    assert getattr(row(**{name: value}), field) == expected


def test_a_queue_keeps_its_messages_anyway() -> None:
    assert not row("/queue/prices", STOMP_DURABLE_TOPIC_SUBSCRIPTION="yes").durable


def test_it_runs_without_being_saved_under_the_name_that_django_stomp_gave_its_subscription() -> None:
    spec = row(STOMP_DURABLE_TOPIC_SUBSCRIPTION="yes", STOMP_LISTENER_CLIENT_ID="shop").spec()
    assert (spec.destination, spec.handler, spec.subscriber) == ("/topic/prices", HANDLER, "shop-listener")


def test_a_setting_that_is_not_named_decides_nothing() -> None:
    changed = {
        field.name
        for field in Consumer._meta.concrete_fields
        if getattr(row(), field.name, None) != field.get_default()
    }
    fields = set(itertools.chain.from_iterable(FIELDS_OF.values()))
    assert changed - fields == {"name", "broker", "destination", "handler"}

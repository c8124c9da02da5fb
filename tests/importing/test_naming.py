"""Names made from destinations: what a row accepts, and never one twice."""

from __future__ import annotations

import pytest
from django.core.validators import validate_slug
from hypothesis import given
from hypothesis import strategies as st

from stompconsole.importing.naming import LONGEST, name_for
from stompconsole.models import Consumer

HANDLER = "orders.handlers.price_of"


@pytest.mark.parametrize(
    ("destination", "name"),
    [
        ("/queue/orders", "orders"),
        ("/topic/prices", "prices"),
        ("/amq/queue/orders", "orders"),
        ("/queue/DLQ.orders", "DLQ-orders"),
        ("/queue/Consumer.shop.VirtualTopic.prices", "Consumer-shop-VirtualTopic-prices"),
        ("Consumer.shop.VirtualTopic.prices", "Consumer-shop-VirtualTopic-prices"),
        ("/queue/café-größe", "cafe-groe"),
        ("/queue/a%2Fb", "a-2Fb"),
        ("/queue/队列", "consumer"),
        ("/queue/" + "x" * 80, "x" * LONGEST),
    ],
)
def test_a_name_is_that_of_the_destination(destination: str, name: str) -> None:
    assert name_for(destination, HANDLER, set()) == name


def test_a_name_that_is_taken_gets_the_handler_s_name_then_a_number() -> None:
    taken: set[str] = set()
    for expected in ("orders", "orders-price_of", "orders-2", "orders-3"):
        name = name_for("/queue/orders", HANDLER, taken)
        assert name == expected
        taken.add(name)


@given(st.lists(st.text(max_size=80), min_size=1, max_size=30))
def test_any_names_are_different_and_fit_a_row(destinations: list[str]) -> None:
    taken: set[str] = set()
    for destination in [*destinations, *destinations]:
        name = name_for(destination, HANDLER, taken)
        validate_slug(name)
        assert len(name) <= LONGEST == Consumer._meta.get_field("name").max_length
        assert name not in taken
        taken.add(name)

"""``publish()`` to a broker that takes nothing: it raises in its time limit, and works again when that is over."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from django.db import transaction

from stompconsole import publish
from stompconsole.errors import BrokerBlocked, BrokerError, ReceiptTimeout
from stompconsole.models import Broker
from tests.deadletters.making import make_broker
from tests.delivery.running import take_all
from tests.support.blockades import Blockade

pytestmark = [pytest.mark.broker, pytest.mark.django_db(transaction=True)]

LIMIT_S = 2.0
MARGIN_S = 1.5
"""What two busy cores may add."""


class Published:
    """What was published, and what the caller was told of each."""

    def __init__(self, broker: Broker, destination: str) -> None:
        self.told: dict[str, type[BrokerError] | None] = {}
        self.words = ""
        self._broker = broker.name
        self._destination = destination

    def send(self, body: str, limit_s: float = LIMIT_S, **options: float) -> type[BrokerError] | None:
        """Publish; what it raised, in its time limit."""
        return self._in_time(body, limit_s, lambda: publish(self._destination, body, broker=self._broker, **options))

    def send_on_commit(self, *bodies: str) -> type[BrokerError] | None:
        def commit() -> None:
            with transaction.atomic():
                for body in bodies:
                    publish(self._destination, body, broker=self._broker)

        return self._in_time(bodies[-1], LIMIT_S, commit)

    def _in_time(self, body: str, limit_s: float, act: Callable[[], None]) -> type[BrokerError] | None:
        began = time.monotonic()
        self.told[body] = None
        try:
            act()
        except (ReceiptTimeout, BrokerBlocked) as error:
            self.told[body], self.words = type(error), str(error)
        assert time.monotonic() - began < limit_s + MARGIN_S
        return self.told[body]


def test_publish_raises_in_its_time_limit_and_works_again_when_it_is_over(blockade: Blockade, destination: str) -> None:
    broker = make_broker(blockade.broker, receipt_timeout_s=LIMIT_S)
    published = Published(broker, destination)
    assert published.send("before") is None
    blockade.block()
    # RabbitMQ takes one more of a connection that has sent.
    published.send("first")
    assert published.send("second", 0.3, timeout_s=0.3)
    assert published.send("third")
    assert "confirm" in published.words
    assert published.send_on_commit("fourth", "fifth")
    blockade.clear()
    assert published.send("after") is None
    assert published.send_on_commit("last") is None
    there = set(published.told) - {body for body, error in published.told.items() if error is not None}
    absent = {body for body, error in published.told.items() if error is BrokerBlocked}
    arrived = set(take_all(broker.spec(), destination, len(there)))
    assert there <= arrived, "what did not raise is there"
    assert not absent & arrived, "what is said not to have been taken is not there"

"""A thousand messages through ``publish()`` in one process. The limit is far from what a calm machine needs."""

from __future__ import annotations

import time

import pytest
from django.db import transaction

from bench.workload import BODY
from stompconsole import publish
from tests.deadletters.making import make_broker
from tests.support.brokers import TestBroker

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]

COUNT = 1_000


def in_one_block(destination: str, broker: str) -> float:
    """Seconds for that many calls inside one transaction."""
    started = time.perf_counter()
    with transaction.atomic():
        for _ in range(COUNT):
            publish(destination, BODY, broker=broker)
    return time.perf_counter() - started


@pytest.mark.parametrize("kind", ["rabbitmq", "activemq"])
def test_a_thousand_messages_in_one_block_take_less_than_two_seconds(
    request: pytest.FixtureRequest, kind: str, destination: str
) -> None:
    broker: TestBroker = request.getfixturevalue(kind)
    row = make_broker(broker)
    publish(destination, "the connection is made before", broker=row.name)
    # The best of three: others use the machine as well, and a JVM is slow until it has seen the code run.
    best = min(in_one_block(destination, row.name) for _ in range(3))
    assert best < 2.0, f"{COUNT} messages in one block in {best:.2f} s"

"""Topics that nobody else uses, and a look into RabbitMQ."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest

from tests.support.brokers import TestBroker
from tests.support.management import Management


@pytest.fixture
def topic() -> str:
    """A topic that nobody else uses."""
    return f"/topic/test.{uuid.uuid4().hex[:12]}"


@pytest.fixture
def client_id() -> str:
    """A client id that nobody else uses."""
    return f"app-{uuid.uuid4().hex[:12]}"


@pytest.fixture
def management(rabbitmq: TestBroker) -> Iterator[Management]:
    """RabbitMQ's management API; what is made through it goes with the test."""
    if not rabbitmq.management:
        pytest.skip("needs RabbitMQ's management API, and the broker that was named has none we know of")
    with Management(rabbitmq) as opened:
        yield opened

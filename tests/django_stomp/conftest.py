"""The brokers on which django-stomp was seen to fail, and a scene on each."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.django_stomp.scene import Scene
from tests.support.brokers import TestBroker
from tests.support.management import Management


@pytest.fixture(params=["rabbitmq", "activemq"])
def any_broker(request: pytest.FixtureRequest) -> TestBroker:
    """RabbitMQ and ActiveMQ in turn: the two that django-stomp was made for."""
    broker: TestBroker = request.getfixturevalue(request.param)
    return broker


@pytest.fixture
def scene(any_broker: TestBroker, tmp_path: Path) -> Iterator[Scene]:
    """A scene on each broker in turn, with a queue and its DLQ as django-stomp leaves them."""
    with Scene(any_broker, tmp_path) as made:
        made.declare(made.name)
        yield made


@pytest.fixture
def rabbit(rabbitmq: TestBroker, tmp_path: Path) -> Iterator[Scene]:
    """The same on RabbitMQ, for what was seen there alone."""
    with Scene(rabbitmq, tmp_path) as made:
        made.declare(made.name)
        yield made


@pytest.fixture
def management(rabbitmq: TestBroker) -> Iterator[Management]:
    """RabbitMQ's management API; what is made through it goes with the test."""
    if not rabbitmq.management:
        pytest.skip("needs RabbitMQ's management API, and the broker that was named has none we know of")
    with Management(rabbitmq) as opened:
        yield opened


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """Somebody who only listens to what is said first: see ``heard_first``."""
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        server.settimeout(30)
        yield server

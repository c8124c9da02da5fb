"""Clients of the broker under test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from stompconsole.transport.session import Endpoint
from tests.contract.client import Client
from tests.support.brokers import TestBroker

OpenClient = Callable[..., Client]


@pytest.fixture
def open_client(any_broker: TestBroker) -> Iterator[OpenClient]:
    """Open a session with the broker, or with another endpoint that leads to it; closed after the test."""
    clients: list[Client] = []

    def open_one(endpoint: Endpoint | None = None, **options: Any) -> Client:
        client = Client(endpoint or any_broker.endpoint(), any_broker.login(), **options)
        clients.append(client)
        return client

    yield open_one
    for client in clients:
        client.session.abort("the test is over")


@pytest.fixture
def client(open_client: OpenClient) -> Client:
    """An open session with the broker."""
    return open_client()

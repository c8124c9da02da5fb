"""Brokers with doors of their own: RabbitMQ with TLS, with and without client certificates; a guarded ActiveMQ."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support import activemq as activemq_rig
from tests.support import rabbitmq as rabbitmq_rig
from tests.support.brokers import TestBroker
from tests.support.guarded_activemq import GuardedActiveMQ, running_guarded_activemq
from tests.support.pool import tell_missing
from tests.support.tls_rabbitmq import TlsRabbitMQ, running_tls_rabbitmq


@pytest.fixture(scope="session")
def tls_rabbitmq(rabbitmq: TestBroker) -> Iterator[TlsRabbitMQ]:
    """A RabbitMQ with a TLS listener. Needs one that is installed here, and not one that is given."""
    yield from _running("false")


@pytest.fixture(scope="session")
def strict_rabbitmq(rabbitmq: TestBroker) -> Iterator[TlsRabbitMQ]:
    """Another, which lets nobody in without a client certificate that it trusts."""
    yield from _running("true")


def _running(required: str) -> Iterator[TlsRabbitMQ]:
    server = rabbitmq_rig.server()
    if server is None:
        tell_missing("no RabbitMQ of our own for TLS: install Debian's rabbitmq-server")
        return
    with running_tls_rabbitmq(server, required=required) as running:
        yield running


@pytest.fixture(scope="session")
def guarded_activemq(activemq: TestBroker) -> Iterator[GuardedActiveMQ]:
    """An ActiveMQ with rights and a TLS door. Needs one that is installed here, and not one that is given."""
    server = activemq_rig.server()
    if server is None:
        tell_missing("no ActiveMQ of our own for rights and TLS: install Debian's activemq")
        return
    with running_guarded_activemq(server) as running:
        yield running

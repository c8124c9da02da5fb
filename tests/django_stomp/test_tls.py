"""TLS on every connection: W16."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from stompconsole.transport.session import Endpoint
from tests.django_stomp.scene import Scene, at, bodies, heard_first
from tests.support import rabbitmq as rabbitmq_server
from tests.support.brokers import TestBroker
from tests.support.pool import tell_missing
from tests.support.ports import free_port
from tests.support.proxy import Proxy
from tests.support.tls_rabbitmq import TlsRabbitMQ, running_tls_rabbitmq

pytestmark = pytest.mark.slow

HANDSHAKE = b"\x16\x03"
"""How TLS begins. Plain STOMP begins with its first command."""


@pytest.fixture(scope="module")
def tls_rabbitmq(rabbitmq: TestBroker) -> Iterator[TlsRabbitMQ]:
    """A RabbitMQ with a TLS door beside the plain one."""
    server = rabbitmq_server.server()
    if server is None:
        tell_missing("no RabbitMQ of our own for TLS: install Debian's rabbitmq-server")
        return
    with running_tls_rabbitmq(server) as running:
        yield running


@pytest.fixture
def there(tls_rabbitmq: TlsRabbitMQ, tmp_path: Path) -> Iterator[Scene]:
    """A scene behind that door; the test itself uses the plain one."""
    with Scene(tls_rabbitmq.plain, tmp_path) as made:
        made.declare(made.name)
        yield made


def nobody() -> Endpoint:
    return Endpoint(host="127.0.0.1", port=free_port())


def standby(port: int) -> dict[str, str]:
    return {"STOMP_SERVER_STANDBY_HOST": "127.0.0.1", "STOMP_SERVER_STANDBY_PORT": str(port)}


def trusting(tls: TlsRabbitMQ) -> dict[str, str]:
    return {"STOMP_USE_SSL": "true", "DEFAULT_STOMP_CA_CERTS": tls.authority.ca_file}


def test_w16_the_standby_hears_nothing_in_plain_text(rabbit: Scene, listener: socket.socket) -> None:
    """There TLS was set for the first address alone: the standby got login and password in plain text."""
    port = listener.getsockname()[1]
    rabbit.pubsub("take", **at(nobody()), STOMP_USE_SSL="true", **standby(port))
    assert heard_first(listener).startswith(HANDSHAKE)


def test_w16_another_source_of_move_messages_hears_nothing_in_plain_text(
    rabbit: Scene, listener: socket.socket
) -> None:
    """There the broker to move from got login and password in plain text as well."""
    host, port = listener.getsockname()
    rabbit.command("move_messages", rabbit.queue, "/queue/there", host, str(port), STOMP_USE_SSL="true")
    assert heard_first(listener).startswith(HANDSHAKE)


def test_w16_a_standby_is_consumed_from_over_tls(there: Scene, tls_rabbitmq: TlsRabbitMQ) -> None:
    """There the standby could only be one without TLS."""
    process = there.pubsub("take", **at(nobody()), **trusting(tls_rabbitmq), **standby(tls_rabbitmq.node.port))
    there.send("a")
    process.wait_for_line("^done a")
    assert process.terminate() == 0


def test_w16_messages_are_moved_from_another_broker_over_tls(there: Scene, tls_rabbitmq: TlsRabbitMQ) -> None:
    """There the source could only be one without TLS."""
    door = Endpoint(host="127.0.0.1", port=tls_rabbitmq.node.port)
    moved = f"{there.name}.moved"
    there.declare(moved)
    there.send("a")
    with Proxy(door) as other_door:
        host, port = other_door.endpoint.host, other_door.endpoint.port
        source = [there.queue, f"/queue/{moved}", host, str(port), "--until-empty"]
        process = there.command("move_messages", *source, **at(door), **trusting(tls_rabbitmq))
        assert process.wait() == 0
    assert bodies(there.left(f"/queue/{moved}", 1)) == ["a"]

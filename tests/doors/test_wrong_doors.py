"""Wrong doors of real brokers: whatever is wrong, the message names the field, or the setting, to change."""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Iterator
from dataclasses import replace

import httpx
import pytest

from stompconsole.delivery.sender import Sender
from stompconsole.delivery.specs import BrokerSpec, SubscriptionState
from stompconsole.errors import BrokerRefused, ConnectFailed, LoginRefused
from stompconsole.transport import connect
from stompconsole.transport.session import Endpoint, Login, Tls
from tests.delivery.running import running
from tests.support.brokers import TestBroker
from tests.support.guarded_activemq import GuardedActiveMQ
from tests.support.ports import free_port
from tests.support.tls_rabbitmq import TlsRabbitMQ
from tests.support.waiting import until

LIMIT_S = 5.0


def told(endpoint: Endpoint, login: Login | None = None, *, kind: type[ConnectFailed] = ConnectFailed) -> str:
    """What the failed connect says; within its limit."""
    began = time.monotonic()
    with pytest.raises(kind) as caught:
        connect(endpoint, login or Login(), connect_timeout_s=LIMIT_S)
    assert time.monotonic() - began < LIMIT_S + 1
    return str(caught.value)


# TLS where it is not, and none where it is


def test_the_tls_port_of_rabbitmq_spoken_to_plainly(tls_rabbitmq: TlsRabbitMQ) -> None:
    words = told(replace(tls_rabbitmq.endpoint(), tls=None))
    assert 'speaks TLS: switch TLS on, "TLS" (STOMP_USE_SSL)' in words


def test_the_tls_port_of_activemq_spoken_to_plainly(guarded_activemq: GuardedActiveMQ) -> None:
    words = told(guarded_activemq.tls_door())
    assert 'speaks TLS: switch TLS on, "TLS" (STOMP_USE_SSL)' in words


def test_the_tls_port_of_activemq_spoken_to_as_it_wants(guarded_activemq: GuardedActiveMQ) -> None:
    door = guarded_activemq.tls_door(guarded_activemq.authority.tls())
    connect(door, guarded_activemq.broker.login(), connect_timeout_s=LIMIT_S).abort("seen")
    assert "DEFAULT_STOMP_CA_CERTS" in told(guarded_activemq.tls_door(Tls()))


def test_a_plain_port_spoken_to_with_tls(any_broker: TestBroker) -> None:
    endpoint = replace(any_broker.endpoint(), tls=Tls())
    began = time.monotonic()
    with pytest.raises(ConnectFailed) as caught:
        # ActiveMQ 5 and Artemis do not answer at all: our own limit ends it.
        connect(endpoint, Login(), connect_timeout_s=1.0)
    assert time.monotonic() - began < 2
    assert 'Then switch TLS off, "TLS" (STOMP_USE_SSL)' in str(caught.value)
    assert '"port" (STOMP_SERVER_PORT)' in str(caught.value)


# Ports of something else


def test_the_management_port_of_rabbitmq(rabbitmq: TestBroker) -> None:
    if not rabbitmq.management:
        pytest.skip("this RabbitMQ was given without its management API")
    url = httpx.URL(rabbitmq.management)
    words = told(Endpoint(host=url.host, port=url.port or 15672))
    assert "speaks HTTP, it is no STOMP port" in words
    assert '"port" (STOMP_SERVER_PORT)' in words


def test_the_amqp_port_of_rabbitmq(tls_rabbitmq: TlsRabbitMQ) -> None:
    words = told(Endpoint(host="127.0.0.1", port=tls_rabbitmq.node.amqp))
    assert "speaks AMQP, it is no STOMP port" in words
    assert '"port" (STOMP_SERVER_PORT)' in words


def test_a_port_nobody_listens_at() -> None:
    words = told(Endpoint(host="127.0.0.1", port=free_port()))
    assert "can't reach 127.0.0.1" in words
    assert '"host" (STOMP_SERVER_HOST) and "port" (STOMP_SERVER_PORT)' in words


def test_a_host_that_does_not_resolve() -> None:
    words = told(Endpoint(host="no-such-host.invalid", port=61613))
    assert "the host name no-such-host.invalid does not resolve" in words
    assert '"host" (STOMP_SERVER_HOST)' in words


# Who we are


def test_a_wrong_password(any_broker: TestBroker) -> None:
    if not any_broker.checks_logins:
        pytest.skip("this broker was given without a login: it may let anybody in")
    words = told(any_broker.endpoint(), any_broker.login(password="s3cret-but-wrong"), kind=LoginRefused)
    assert 'Look at "user" (STOMP_SERVER_USER) and "password" (STOMP_SERVER_PASSWORD)' in words
    assert "s3cret" not in words


def test_a_wrong_virtual_host(rabbitmq: TestBroker) -> None:
    words = told(rabbitmq.endpoint(), rabbitmq.login(vhost="nope"), kind=LoginRefused)
    assert '"virtual host" (STOMP_SERVER_VHOST)' in words


def test_a_client_id_that_is_taken(activemq: TestBroker) -> None:
    login = activemq.login(client_id=f"taken-{uuid.uuid4().hex}")
    first = connect(activemq.endpoint(), login, connect_timeout_s=LIMIT_S)
    words = told(activemq.endpoint(), login, kind=LoginRefused)
    first.abort("seen")
    assert '"client id"' in words


# Where we may not go

NO_RIGHT = re.compile(r'Give "user" \(STOMP_SERVER_USER\) this right on the broker, or change the destination')


def assert_forbidden(broker: BrokerSpec, destination: str) -> None:
    """Neither subscribing nor sending there is possible, and both say what to change."""
    with running(broker, destination) as run:
        until(lambda: run.runner.status.state is SubscriptionState.BACKING_OFF, 20, "it backs off")
        assert NO_RIGHT.search(run.runner.status.reason), run.runner.status.reason
    sender = Sender(broker)
    try:
        with pytest.raises(BrokerRefused) as caught:
            sender.send(destination, {"persistent": "true"}, b"a").result(10)
        assert NO_RIGHT.search(str(caught.value)), caught.value
    finally:
        sender.close(2.0)


@pytest.fixture
def limited(tls_rabbitmq: TlsRabbitMQ) -> Iterator[BrokerSpec]:
    """RabbitMQ for a user who has a right to queues that begin with ``own.``."""
    api = httpx.Client(base_url=f"http://127.0.0.1:{tls_rabbitmq.node.management}/api", auth=("guest", "guest"))
    with api:
        api.put("/users/limited", json={"password": "limited", "tags": ""}).raise_for_status()
        own = {"configure": "^own", "read": "^own", "write": "^(own|amq.default)"}
        api.put("/permissions/%2F/limited", json=own).raise_for_status()
        yield tls_rabbitmq.spec(login=Login(user="limited", password="limited", vhost="/"))
        api.delete("/users/limited").raise_for_status()


def test_a_queue_of_rabbitmq_that_the_user_has_no_right_to(limited: BrokerSpec) -> None:
    assert_forbidden(limited, "/queue/other")


def test_a_queue_of_activemq_that_the_user_has_no_right_to(guarded_activemq: GuardedActiveMQ) -> None:
    assert_forbidden(guarded_activemq.broker.broker_spec(), "/queue/other")


def test_queues_that_the_user_has_a_right_to_are_served(limited: BrokerSpec, guarded_activemq: GuardedActiveMQ) -> None:
    for broker in (limited, guarded_activemq.broker.broker_spec()):
        with running(broker, "/queue/own.orders") as run:
            run.wait_running()

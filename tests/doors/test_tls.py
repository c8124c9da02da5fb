"""TLS to RabbitMQ's own listener: verified by certificate and host name, on the primary and on the standby alike."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from stompconsole.delivery.connecting import open_session
from stompconsole.delivery.specs import SubscriptionState
from stompconsole.errors import ConnectFailed
from stompconsole.transport import connect
from stompconsole.transport.session import Endpoint, Login, Place, Tls
from tests.delivery.running import Running, running, send
from tests.support.authority import Authority
from tests.support.proxy import Proxy
from tests.support.tls_rabbitmq import UNCERTIFIED, TlsRabbitMQ
from tests.support.waiting import until

LOGIN = Login(user="guest", password="guest", vhost="/")


def refused(endpoint: Endpoint) -> str:
    with pytest.raises(ConnectFailed) as caught:
        connect(endpoint, LOGIN, connect_timeout_s=10)
    return str(caught.value)


def test_messages_go_both_ways_over_a_verified_connection(tls_rabbitmq: TlsRabbitMQ, destination: str) -> None:
    broker = tls_rabbitmq.spec()
    send(broker, destination, list(range(200)))
    with running(broker, destination, prefetch=20, threads=2) as run:
        run.seen.wait(200)
        run.wait_settled()
    assert sorted(run.seen.bodies) == list(range(200))


def test_an_unknown_authority_is_refused_and_the_ca_file_named(tls_rabbitmq: TlsRabbitMQ, tmp_path: Path) -> None:
    stranger = Authority(tmp_path, "stranger")
    for tls in (stranger.tls(), Tls()):
        assert '"CA file" (DEFAULT_STOMP_CA_CERTS)' in refused(tls_rabbitmq.endpoint(tls))


def test_another_host_name_is_refused_and_the_host_named(tls_rabbitmq: TlsRabbitMQ) -> None:
    told = refused(tls_rabbitmq.endpoint(host=UNCERTIFIED))
    assert "another host name" in told
    assert '"host" (STOMP_SERVER_HOST)' in told


def test_without_verification_both_are_let_pass(tls_rabbitmq: TlsRabbitMQ) -> None:
    connect(tls_rabbitmq.endpoint(Tls(verify=False), host=UNCERTIFIED), LOGIN).abort("seen")


def test_a_client_certificate_opens_a_broker_that_asks_for_one(strict_rabbitmq: TlsRabbitMQ) -> None:
    signed = strict_rabbitmq.authority.sign("client.test", key_password="k3y")
    tls = strict_rabbitmq.authority.tls(cert_file=signed.cert_file, key_file=signed.key_file, key_password="k3y")
    connect(strict_rabbitmq.endpoint(tls), LOGIN).abort("seen")


def test_no_client_certificate_or_a_strangers_is_refused_and_its_file_named(
    strict_rabbitmq: TlsRabbitMQ, tmp_path: Path
) -> None:
    signed = Authority(tmp_path, "stranger").sign("client.test")
    tls = strict_rabbitmq.authority.tls(cert_file=signed.cert_file, key_file=signed.key_file)
    for wrong in (strict_rabbitmq.authority.tls(), tls):
        told = refused(strict_rabbitmq.endpoint(wrong))
        assert '"client certificate file" (DEFAULT_STOMP_CERT_FILE)' in told, told


def test_a_plain_primary_that_dies_is_not_replaced_by_a_standby_nobody_can_trust(
    tls_rabbitmq: TlsRabbitMQ, tmp_path: Path, destination: str
) -> None:
    stranger = Authority(tmp_path, "stranger")
    with Proxy(tls_rabbitmq.plain.endpoint()) as primary:
        standby = tls_rabbitmq.endpoint(stranger.tls(), place=Place.STANDBY)
        assert_never_on_the_standby(tls_rabbitmq, primary, primary.endpoint, standby, destination)


def test_a_tls_primary_that_dies_is_not_replaced_by_a_standby_with_another_name(
    tls_rabbitmq: TlsRabbitMQ, destination: str
) -> None:
    with Proxy(tls_rabbitmq.endpoint()) as primary:
        there = replace(primary.endpoint, tls=tls_rabbitmq.authority.tls())
        standby = tls_rabbitmq.endpoint(host=UNCERTIFIED, place=Place.STANDBY)
        assert_never_on_the_standby(tls_rabbitmq, primary, there, standby, destination)


def assert_never_on_the_standby(
    rabbit: TlsRabbitMQ, gone: Proxy, primary: Endpoint, standby: Endpoint, destination: str
) -> None:
    broker = rabbit.spec(primary, standby)
    with running(broker, destination) as run:
        run.wait_running()
        gone.refuse()
        until(lambda: len(backings_off(run)) >= 2, 20, "it was lost, and both were tried")
        told = run.runner.status.reason
        assert f"TLS with {standby} failed" in told
        assert str(primary) in told
        assert run.runner.status.endpoint == ""
        gone.accept()
        until(lambda: run.runner.status.endpoint == str(primary), 20, "it is on the primary again")


def backings_off(run: Running) -> list[str]:
    return [reason for state, reason in run.seen.states if state is SubscriptionState.BACKING_OFF]


def test_a_verified_standby_takes_the_place_of_a_verified_primary(tls_rabbitmq: TlsRabbitMQ, destination: str) -> None:
    with Proxy(tls_rabbitmq.endpoint()) as primary:
        there = replace(primary.endpoint, tls=tls_rabbitmq.authority.tls())
        broker = tls_rabbitmq.spec(there, tls_rabbitmq.endpoint(place=Place.STANDBY))
        primary.refuse()
        session = open_session(broker)
        assert session.endpoint == broker.endpoints[1]
        session.abort("seen")

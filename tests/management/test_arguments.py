"""The arguments of foreground commands: brokers at another place, and whether two are one."""

from __future__ import annotations

from dataclasses import replace

import pytest
from django.core.management import CommandError

from stompconsole.delivery.specs import BrokerSpec
from stompconsole.management import arguments
from stompconsole.transport.session import Endpoint, Login, Tls

TLS = Tls(ca_certs="/ca.pem")
BROKER = BrokerSpec(
    name="default",
    endpoints=(Endpoint(host="primary", port=61614, tls=TLS), Endpoint(host="standby", port=61614, tls=TLS)),
    login=Login(user="app", password="secret", vhost="shop"),
)


def test_another_place_has_the_same_login_and_tls_and_no_standby() -> None:
    other = arguments.elsewhere(BROKER, "other", 61613)
    assert other.endpoints == (Endpoint(host="other", port=61613, tls=TLS),)
    assert other.login == BROKER.login
    assert replace(other, name=BROKER.name, endpoints=BROKER.endpoints) == BROKER


def test_without_another_place_it_is_the_same_broker() -> None:
    assert arguments.elsewhere(BROKER, None, None) is BROKER


@pytest.mark.parametrize(("host", "port"), [("other", None), (None, 61613), ("", 61613), ("other", 0)])
def test_host_and_port_belong_together(host: str | None, port: int | None) -> None:
    with pytest.raises(CommandError, match=r"You should provide broker_(host|port)_for_source_destination option"):
        arguments.elsewhere(BROKER, host, port)


def at(*places: tuple[str, int]) -> BrokerSpec:
    return replace(BROKER, endpoints=tuple(Endpoint(host=host, port=port) for host, port in places))


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (at(("127.0.0.1", 61613)), at(("localhost", 61613)), True),
        (at(("127.0.0.1", 61613)), at(("127.0.0.1", 61614)), False),
        (at(("127.0.0.1", 61613)), at(("127.0.0.2", 61613), ("127.0.0.1", 61613)), True),
        (at(("no-such-host.invalid", 61613)), at(("no-such-host.invalid", 61613)), True),
        (at(("no-such-host.invalid", 61613)), at(("nor-this-one.invalid", 61613)), False),
    ],
)
def test_two_names_of_one_place_are_one(one: BrokerSpec, other: BrokerSpec, same: bool) -> None:
    assert arguments.is_same_place(one, other) is same

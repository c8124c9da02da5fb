"""The arguments that foreground commands share: destinations and brokers, checked before anything is connected."""

from __future__ import annotations

import socket
from argparse import Action, ArgumentParser
from dataclasses import replace
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import CommandError

from stompconsole.conf import StompSettings, settings_now
from stompconsole.delivery.specs import BrokerSpec
from stompconsole.models import default_broker
from stompconsole.models.names import WILDCARDS, validate_destination
from stompconsole.publishing import broker_spec
from stompconsole.transport.session import Endpoint

HOST, PORT = "broker_host_for_source_destination", "broker_port_for_source_destination"

UNDECLARED = "/amq/queue/"
"""How RabbitMQ is told of a queue without declaring it."""

_NO_WILDCARD = str.maketrans(dict.fromkeys(f"{WILDCARDS}#", "x"))


def add_argument(parser: ArgumentParser, name: str, **fields: Any) -> None:
    """Add a positional argument that ``call_command`` can be given by name as well, as django-stomp's could be."""
    argument: Action = parser.add_argument(name, **fields)
    # Django can't pass on by name what argparse itself requires: ``given`` looks after that.
    argument.required = False


def given(options: dict[str, Any], name: str, called: str) -> str:
    """An argument that must be there."""
    value = options.get(name)
    if not value:
        raise CommandError(f"{called} is missing.")
    return str(value)


def source(options: dict[str, Any], name: str, called: str) -> str:
    """A destination to take messages from. A wildcard is what the broker makes of it."""
    return _destination(options, name, called, _NO_WILDCARD)


def target(options: dict[str, Any], name: str, called: str) -> str:
    """A destination to send messages to, which keeps them."""
    value = _destination(options, name, called, {})
    if value.startswith(UNDECLARED):
        raise CommandError(
            f"{called} is {value!r}: RabbitMQ confirms what is sent to such a name and drops it if there is no queue."
            f" Write /queue/{value.removeprefix(UNDECLARED)}: if that is there it is used as it is."
        )
    return value


def _destination(options: dict[str, Any], name: str, called: str, allowed: dict[int, str]) -> str:
    value = given(options, name, called)
    try:
        validate_destination(value.translate(allowed))
    except ValidationError as error:
        raise CommandError(f"{called} is {value!r}. {error.messages[0]}") from error
    return value


def stomp_settings(command: str) -> StompSettings:
    """The STOMP_* settings. Raises ConfigurationError, CommandError when they describe no broker."""
    stomp = settings_now().stomp
    if stomp is None:
        raise CommandError(
            f"STOMP_SERVER_HOST is not set: {command} needs to know where the broker is."
            " Set it, and STOMP_SERVER_PORT if that is not 61613."
        )
    return stomp


def broker(options: dict[str, Any], command: str) -> BrokerSpec:
    """The broker named by ``--broker``, else the one of the STOMP_* settings, for which no database is needed."""
    name = options.get("broker")
    return broker_spec(name) if name else default_broker.from_settings(stomp_settings(command)).spec()


def elsewhere(broker: BrokerSpec, host: str | None, port: int | None) -> BrokerSpec:
    """The broker at another place: same login, vhost and TLS, and no standby, since that is one of the other place."""
    if host and not port:
        raise CommandError(
            "You should provide broker_port_for_source_destination option as well: the port at that host."
        )
    if port and not host:
        raise CommandError(
            "You should provide broker_host_for_source_destination option as well: the host of that port."
        )
    if not host or not port:
        return broker
    if not 1 <= port <= 65_535:
        raise CommandError(f"{PORT} is {port}: a port is 1 to 65535.")
    endpoint = Endpoint(host=host, port=port, tls=broker.endpoints[0].tls)
    return replace(broker, name=f"{broker.name} at {endpoint}", endpoints=(endpoint,))


def is_same_place(one: BrokerSpec, other: BrokerSpec) -> bool:
    """Whether two brokers have an endpoint in common, by whatever name of its host."""
    return bool(_addresses(one) & _addresses(other))


def _addresses(broker: BrokerSpec) -> set[tuple[str, int]]:
    found: set[tuple[str, int]] = set()
    for endpoint in broker.endpoints:
        try:
            known = socket.getaddrinfo(endpoint.host, endpoint.port, type=socket.SOCK_STREAM)
        except OSError:
            # Not known here and now: it may be in a moment, and until then its name has to do.
            found.add((endpoint.host, endpoint.port))
        else:
            found |= {(str(address[4][0]), endpoint.port) for address in known}
    return found

"""Servers that are given: already running, named by an environment variable, and not ours to stop.

A broker by ``host:port`` or ``user:password@host:port``, a database and Redis by their URL.
"""

from __future__ import annotations

import pytest

from tests.support.brokers import TestBroker
from tests.support.servers import variable_of

LOGINS = {"rabbitmq": ("guest", "guest")}
OTHER_LOGIN = ("admin", "admin")


class Given:
    """The rig of a server that somebody else runs."""

    def __init__(self, variable: str) -> None:
        self._variable = variable

    def start(self) -> None:
        """It runs."""

    def is_running(self) -> bool:
        return True

    def stop(self) -> None:
        pytest.skip(f"needs to stop the server, and {self._variable} names one that is not ours")

    kill = stop

    def log(self) -> str:
        return "(somebody else has its log)"

    def close(self) -> None:
        """It goes on running."""


def broker(kind: str, value: str) -> TestBroker:
    """The broker that a variable's value names. Raises ValueError that says what is allowed."""
    login, _, address = value.rpartition("@")
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit():
        raise ValueError(f"{variable_of(kind)}={value!r}: host:port or user:password@host:port is allowed")
    user, _, password = login.partition(":")
    default_user, default_password = LOGINS.get(kind, OTHER_LOGIN)
    return TestBroker(
        name=kind,
        host=host,
        port=int(port),
        user=user or default_user,
        password=password or default_password,
        # RabbitMQ always checks who logs in; another broker is known to when we were told whom it expects.
        checks_logins=kind == "rabbitmq" or bool(login),
        rig=Given(variable_of(kind)),
    )

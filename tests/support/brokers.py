"""A broker that tests talk to, whichever it is.

Owns the value ``TestBroker`` and readiness, which is a CONNECT that was answered. Refuses to know how a kind
of broker is installed or started: ``rabbitmq.py``, ``activemq.py``, ``artemis.py``, ``given.py``.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, TypeVar

from stompconsole.delivery.specs import BrokerSpec
from stompconsole.transport.frames import encode
from stompconsole.transport.session import Endpoint, Login
from tests.support.servers import HOST, Served
from tests.support.waiting import until

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class TestBroker(Served):
    """Where a broker is, how to log in, and a hand on its process.

    ``management`` is an HTTP URL or empty; ``checks_logins``: it refuses a wrong password.
    """

    __test__: ClassVar[bool] = False

    strands_messages: ClassVar[bool] = False
    """Whether now and then it gives a message of a connection that was cut to nobody, until it is restarted."""

    host: str = HOST
    port: int
    user: str
    password: str = field(repr=False)
    vhost: str = "/"
    checks_logins: bool = True
    management: str = ""

    def endpoint(self) -> Endpoint:
        return Endpoint(host=self.host, port=self.port)

    def login(self, **overrides: Any) -> Login:
        return replace(Login(user=self.user, password=self.password, vhost=self.vhost), **overrides)

    def broker_spec(self, **overrides: Any) -> BrokerSpec:
        """The spec of this broker, with short time limits; ``overrides`` are fields of BrokerSpec."""
        spec = BrokerSpec(
            name=self.name,
            endpoints=(self.endpoint(),),
            login=self.login(),
            heartbeat_send_s=2.0,
            heartbeat_receive_s=2.0,
            connect_timeout_s=10.0,
            receipt_timeout_s=10.0,
        )
        return replace(spec, **overrides)

    def until(self, predicate: Callable[[], T], timeout_s: float, what: str) -> T:
        """Wait as ``waiting.until`` does for what comes of messages whose connection was cut."""
        return until(predicate, timeout_s, what)

    def answers(self) -> bool:
        """Whether a CONNECT with the right login is answered by CONNECTED now."""
        return answers_connect(self.endpoint(), self.login())


def answers_connect(endpoint: Endpoint, login: Login, timeout_s: float = 5.0) -> bool:
    """Whether the broker answers a real CONNECT with CONNECTED; written on a bare socket, it tests all else."""
    headers = {"accept-version": "1.2", "host": login.vhost, "login": login.user, "passcode": login.password}
    with suppress(OSError), socket.create_connection((endpoint.host, endpoint.port), timeout_s) as client:
        client.sendall(encode("CONNECT", headers))
        answer = client.recv(4096)
        with suppress(OSError):
            client.sendall(encode("DISCONNECT", {}))
        return answer.startswith(b"CONNECTED")
    return False

"""A broker that tests talk to, whichever it is, and the contract of what runs one.

Owns the value ``TestBroker`` and readiness, which is a CONNECT that was answered. Refuses to know how a kind
of broker is installed or started: ``rabbitmq.py``, ``activemq.py``, ``given.py``.
"""

from __future__ import annotations

import socket
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Protocol

from stompconsole.delivery.specs import BrokerSpec
from stompconsole.transport.frames import encode
from stompconsole.transport.session import Endpoint, Login
from tests.support.waiting import until

HOST = "127.0.0.1"
READY_TIMEOUT_S = 60.0
LOG_CHARACTERS = 4_000


class Rig(Protocol):
    """What runs one broker: its process, its ports, its data."""

    def start(self) -> None:
        """Start it, without waiting until it is ready."""

    def is_running(self) -> bool:
        """Whether its process is there."""

    def stop(self) -> None:
        """Stop it in good order; its data stay."""

    def kill(self) -> None:
        """Kill it as a power cut would; its data stay."""

    def close(self) -> None:
        """End it for good, with whatever belongs to it."""

    def log(self) -> str:
        """The end of what it wrote, for a test that fails."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TestBroker:
    """Where a broker is, how to log in, and a hand on its process.

    ``management`` is an HTTP URL or empty; ``checks_logins``: it refuses a wrong password.
    """

    __test__: ClassVar[bool] = False

    name: str
    host: str = HOST
    port: int
    user: str
    password: str = field(repr=False)
    vhost: str = "/"
    checks_logins: bool = True
    management: str = ""
    rig: Rig = field(repr=False, compare=False)

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

    def start(self) -> None:
        """Start it, if it was stopped, and wait until it is ready."""
        self.rig.start()
        self.wait_until_ready()

    def stop(self) -> None:
        """Stop it in good order: sessions are closed, its data stay."""
        self.rig.stop()

    def kill(self) -> None:
        """Kill it as a power cut would."""
        self.rig.kill()

    def restart(self) -> None:
        """Stop and start it on the same ports with the same data."""
        self.stop()
        self.start()

    def answers(self) -> bool:
        """Whether a CONNECT with the right login is answered by CONNECTED now."""
        return answers_connect(self.endpoint(), self.login())

    def wait_until_ready(self) -> None:
        try:
            until(self.answers, READY_TIMEOUT_S, f"{self.name} answers CONNECT at {self.endpoint()}")
        except AssertionError as error:
            raise AssertionError(f"{error}; it wrote:\n{self.rig.log()}") from None


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

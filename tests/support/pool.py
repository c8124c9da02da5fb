"""The real brokers of a test run: found, given, started or installed once, and ended with the run.

Owns what a missing broker means: a skip that is seen at home, a failure under ``CI=true``.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.support import activemq, given, installing, rabbitmq
from tests.support.brokers import TestBroker

MakeBroker = Callable[[Path, Path], TestBroker]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """How a kind of broker is had on this machine: where its server is, the packages it comes in, how it is made."""

    server: Callable[[], Path | None]
    packages: tuple[str, ...]
    make: MakeBroker


KINDS = {
    "rabbitmq": Kind(
        server=rabbitmq.server,
        packages=rabbitmq.PACKAGES,
        make=lambda server, folder: rabbitmq.broker(rabbitmq.RabbitMQ(server, folder)),
    ),
    "activemq": Kind(
        server=activemq.server,
        packages=activemq.PACKAGES,
        make=lambda server, folder: activemq.broker(activemq.ActiveMQ(server, folder)),
    ),
}


class BrokerPool:
    """The brokers of this run by kind, with their data in a folder that goes with them."""

    def __init__(self) -> None:
        self._folder = TemporaryDirectory(prefix="stompconsole-brokers-", ignore_cleanup_errors=True)
        self._brokers: dict[str, TestBroker] = {}
        self._missing: dict[str, str] = {}

    def prepare(self, kinds: Iterable[str]) -> None:
        """Start what is needed, all at once and without waiting until it is ready."""
        for kind in kinds:
            broker = self._find(kind)
            if broker is not None:
                broker.rig.start()
                self._brokers[kind] = broker

    def broker(self, kind: str) -> TestBroker:
        """The broker, ready; skips or fails the test when there is none."""
        if kind not in self._brokers and kind not in self._missing:
            self.prepare([kind])
        if kind in self._missing:
            self._tell(self._missing[kind])
        broker = self._brokers[kind]
        broker.wait_until_ready()
        return broker

    def revive(self) -> None:
        """Start again what a test stopped."""
        for broker in self._brokers.values():
            if not broker.rig.is_running():
                broker.start()

    def close(self) -> None:
        """End what was started here."""
        for broker in self._brokers.values():
            broker.rig.close()
        self._folder.cleanup()

    def _find(self, kind: str) -> TestBroker | None:
        if value := os.environ.get(given.variable_of(kind)):
            return given.parse(kind, value)
        ways = KINDS[kind]
        server = ways.server()
        if server is None and installing.is_possible():
            installing.install(ways.packages)
            server = ways.server()
        if server is None:
            self._missing[kind] = (
                f"no {kind}: install Debian's {' and '.join(ways.packages)}, "
                f"or name one with {given.variable_of(kind)}=host:port"
            )
            return None
        folder = Path(self._folder.name) / kind
        folder.mkdir()
        return ways.make(server, folder)

    def _tell(self, reason: str) -> None:
        if os.environ.get("CI", "").lower() in {"1", "true"}:
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)

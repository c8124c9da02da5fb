"""The servers of a test run: found, given, started or installed once, and ended with the run.

Owns what a missing one means: a skip that is seen at home, a failure under ``CI=true``. Those that come from Maven
Central are skipped there too: what can't be reached can't be mended.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.support import (
    activemq,
    activemq6,
    artemis,
    given,
    installing,
    maven,
    postgres,
    rabbitmq,
    redis_server,
)
from tests.support.brokers import TestBroker
from tests.support.servers import Served, TestServer, Unavailable, variable_of


def tell_missing(reason: str) -> None:
    """Skip the test visibly at home; under ``CI=true`` fail it."""
    if os.environ.get("CI", "").lower() in {"1", "true"}:
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


def tell_out_of_reach(reason: str) -> None:
    """Skip the test visibly, wherever it runs."""
    pytest.skip(reason)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """How a kind of server is had on this machine: where it is, the packages it comes in, how one is made or given."""

    server: Callable[[], Path | None]
    packages: tuple[str, ...]
    make: Callable[[Path, Path], Served]
    given: Callable[[str], Served]
    tell_missing: Callable[[str], None] = tell_missing


BROKERS = {
    "rabbitmq": Kind(
        server=rabbitmq.server,
        packages=rabbitmq.PACKAGES,
        make=rabbitmq.make,
        given=lambda value: given.broker("rabbitmq", value),
    ),
    "activemq": Kind(
        server=activemq.server,
        packages=activemq.PACKAGES,
        make=activemq.make,
        given=lambda value: given.broker("activemq", value),
    ),
    "activemq6": Kind(
        server=activemq6.server,
        packages=maven.PACKAGES,
        make=activemq6.make,
        given=lambda value: given.broker("activemq6", value),
        tell_missing=tell_out_of_reach,
    ),
    "artemis": Kind(
        server=artemis.server,
        packages=maven.PACKAGES,
        make=artemis.make,
        given=lambda value: given.broker("artemis", value),
        tell_missing=tell_out_of_reach,
    ),
}

KINDS = {
    **BROKERS,
    "postgres": Kind(
        server=postgres.server,
        packages=postgres.PACKAGES,
        make=postgres.make,
        given=lambda value: postgres.at(value, given.Given(variable_of("postgres"))),
    ),
    "durable_postgres": Kind(
        server=postgres.server,
        packages=postgres.PACKAGES,
        make=postgres.make_durable,
        given=lambda value: postgres.at(value, given.Given(variable_of("durable_postgres"))),
    ),
    "redis": Kind(
        server=redis_server.server,
        packages=redis_server.PACKAGES,
        make=redis_server.make,
        given=lambda value: redis_server.at(value, given.Given(variable_of("redis"))),
    ),
}


class ServerPool:
    """The servers of this run by kind, with their data in a folder that goes with them."""

    def __init__(self) -> None:
        self._folder = TemporaryDirectory(prefix="stompconsole-servers-", ignore_cleanup_errors=True)
        # A server that runs as a user of its own must get to its data.
        Path(self._folder.name).chmod(0o711)
        self._servers: dict[str, Served] = {}
        self._missing: dict[str, str] = {}

    def prepare(self, kinds: Iterable[str]) -> None:
        """Start what is needed, all at once and without waiting until it is ready."""
        for kind in kinds:
            server = self._find(kind)
            if server is not None:
                server.rig.start()
                self._servers[kind] = server

    def broker(self, kind: str) -> TestBroker:
        """A broker, ready; skips or fails the test when there is none."""
        broker = self._ready(kind)
        assert isinstance(broker, TestBroker)
        return broker

    def server(self, kind: str) -> TestServer:
        """A database or Redis, ready; skips or fails the test when there is none."""
        server = self._ready(kind)
        assert isinstance(server, TestServer)
        return server

    def revive(self) -> None:
        """Start again what a test stopped."""
        for server in self._servers.values():
            if not server.rig.is_running():
                server.rig.start()
                server.wait_until_ready()

    def close(self) -> None:
        """End what was started here."""
        for server in self._servers.values():
            server.rig.close()
        self._folder.cleanup()

    def _ready(self, kind: str) -> Served:
        if kind not in self._servers and kind not in self._missing:
            self.prepare([kind])
        if kind in self._missing:
            KINDS[kind].tell_missing(self._missing[kind])
        server = self._servers[kind]
        server.wait_until_ready()
        return server

    def _find(self, kind: str) -> Served | None:
        ways = KINDS[kind]
        if value := os.environ.get(variable_of(kind)):
            return ways.given(value)
        try:
            server = _server(ways)
        except Unavailable as reason:
            self._missing[kind] = f"no {kind}: {reason}; or name one with {variable_of(kind)}"
            return None
        folder = Path(self._folder.name) / kind
        folder.mkdir(mode=0o711)
        return ways.make(server, folder)


def _server(ways: Kind) -> Path:
    """Where a kind of server is, installed if need be. Raises Unavailable."""
    packages = " and ".join(ways.packages)
    server = ways.server()
    if server is None and installing.is_possible():
        try:
            installing.install(ways.packages)
        except subprocess.SubprocessError as error:
            raise Unavailable(f"installing Debian's {packages} failed: {error}") from error
        server = ways.server()
    if server is None:
        raise Unavailable(f"install Debian's {packages}")
    return server

"""ActiveMQ Artemis from Maven Central: an own instance on free ports with its own data, made by ``artemis create``.

One process with two doors: a stock STOMP acceptor, where a frame says queue or topic by a header, and one with the
prefixes ``/queue/`` and ``/topic/``, where the name does. Both check logins.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, TypeVar

import pytest

from stompconsole.transport.session import Endpoint
from tests.support import given, maven, processes
from tests.support.brokers import TestBroker, answers_connect
from tests.support.ports import free_ports
from tests.support.process_rig import ProcessRig
from tests.support.processes import ManagedProcess
from tests.support.servers import HOST, variable_of
from tests.support.waiting import until

T = TypeVar("T")

VERSION = "2.44.0"
USER = "app"
PASSWORD = "secret"
CREATE_TIMEOUT_S = 60.0

CREATE = (
    "--silent", "--require-login", "--no-web", "--no-autotune", "--nio", "--java-memory=512M", f"--host={HOST}",
    f"--user={USER}", f"--password={PASSWORD}",
)  # fmt: skip

ACCEPTORS = """\
<message-expiry-scan-period>500</message-expiry-scan-period>
      <acceptors>
         <acceptor name="stomp">tcp://{host}:{stock}?protocols=STOMP</acceptor>
         <acceptor name="prefixed">tcp://{host}:{prefixed}?protocols=STOMP;{prefixes}</acceptor>
      </acceptors>"""
PREFIXES = "anycastPrefix=/queue/;multicastPrefix=/topic/"


def server() -> Path | None:
    """Its folder, fetched and unpacked if need be; None without Maven or Java. Raises Unavailable."""
    if not maven.is_there():
        return None
    return (
        maven.unpacked(f"apache-artemis-{VERSION}", f"org.apache.activemq:apache-artemis:{VERSION}:tar.gz:bin")
        / "bin"
        / "artemis"
    )


class Artemis(ProcessRig):
    """One instance, its acceptors on ``stock`` and ``prefixed``."""

    def __init__(self, server: Path, folder: Path) -> None:
        super().__init__(server, folder)
        self.stock, self.prefixed = free_ports(2)

    @property
    def instance(self) -> Path:
        """What ``artemis create`` makes: etc/broker.xml, data, bin/artemis."""
        return self._folder / "instance"

    def launch(self) -> ManagedProcess:
        if not self.instance.exists():
            self._create()
        command = [self.instance / "bin" / "artemis", "run"]
        return processes.start(command, cwd=self._folder, output=self._folder / "output.txt")

    def configure(self, broker_xml: str) -> str:
        """The broker.xml that ``artemis create`` wrote, as it is to be."""
        doors = ACCEPTORS.format(host=HOST, stock=self.stock, prefixed=self.prefixed, prefixes=PREFIXES)
        return re.sub(r"<acceptors>.*</acceptors>", doors, broker_xml, flags=re.DOTALL)

    def _create(self) -> None:
        command = [str(self._server), "create", str(self.instance), *CREATE]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, timeout=CREATE_TIMEOUT_S)
        broker_xml = self.instance / "etc" / "broker.xml"
        broker_xml.write_text(self.configure(broker_xml.read_text()))
        # It takes its whole memory at once otherwise.
        profile = self.instance / "etc" / "artemis.profile"
        profile.write_text(profile.read_text().replace("-Xms512M", "-Xms64M"))


@dataclass(frozen=True, slots=True, kw_only=True)
class ArtemisBroker(TestBroker):
    """One door of an Artemis: stop, kill and restart of the one are of both."""

    strands_messages: ClassVar[bool] = True

    prefixed_port: int

    def until(self, predicate: Callable[[], T], timeout_s: float, what: str) -> T:
        """Wait; restart it once if that is what it takes.

        Of some hundred connections that end without DISCONNECT one leaves messages with nobody: handed out, says their
        queue, and it has no consumer. A restart gives them out again, and so nothing is lost.
        """
        try:
            return until(predicate, timeout_s, what)
        except AssertionError:
            self.restart()
            return until(predicate, timeout_s, what)

    def answers(self) -> bool:
        """Whether both doors are open: they are not opened at once."""
        ports = {self.port, self.prefixed_port}
        return all(answers_connect(Endpoint(host=self.host, port=port), self.login()) for port in ports)


def make(server: Path, folder: Path) -> TestBroker:
    """The instance as tests see it, by its stock acceptor."""
    return broker(Artemis(server, folder))


def broker(rig: Artemis) -> TestBroker:
    """The stock acceptor of an instance."""
    return ArtemisBroker(
        name="artemis", port=rig.stock, prefixed_port=rig.prefixed, user=USER, password=PASSWORD, rig=rig
    )


def prefixed(broker: TestBroker) -> TestBroker:
    """The other door of an Artemis. Skips the test if it is a given one, whose other door nobody named."""
    if isinstance(broker, ArtemisBroker):
        return replace(broker, name="artemis_prefixed", port=broker.prefixed_port)
    variable = variable_of("artemis_prefixed")
    if value := os.environ.get(variable):
        return given.broker("artemis_prefixed", value)
    pytest.skip(f"name an acceptor of that Artemis with {PREFIXES} by {variable}")

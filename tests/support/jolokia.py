"""ActiveMQ Classic and Artemis whose management beans are shown over HTTP, behind a login, by Jolokia's agent.

The web consoles of both have Jolokia as well, at the same paths: it is the same beans, and the same answers.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.support import activemq, artemis, maven
from tests.support.activemq import ActiveMQ
from tests.support.activemq6 import ActiveMQ6
from tests.support.artemis import Artemis
from tests.support.brokers import TestBroker
from tests.support.pool import KINDS
from tests.support.ports import free_port
from tests.support.servers import HOST, Unavailable

VERSION = "2.2.9"
OPEN = '<entry domain="org.apache.activemq.artemis"/>'
NO_REGISTRY = '<managementContext><managementContext createConnector="false"/></managementContext>'


@dataclass(frozen=True, slots=True)
class Agent:
    """Jolokia in a broker's own process."""

    jar: Path
    port: int

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    def option(self, path: str) -> str:
        """What java is told."""
        login = f"user={activemq.USER},password={activemq.PASSWORD}"
        return f"-javaagent:{self.jar}=host={HOST},port={self.port},agentContext={path},{login}"


class _ShownActiveMQ(ActiveMQ):
    def __init__(self, server: Path, folder: Path, agent: Agent) -> None:
        super().__init__(server, folder)
        self.java_options = (agent.option("/api/jolokia"),)

    def configure(self, activemq_xml: str) -> str:
        shown = activemq_xml.replace('useJmx="false"', 'useJmx="true"')
        return shown.replace("<destinationPolicy>", f"{NO_REGISTRY}<destinationPolicy>")


class _ShownActiveMQ6(_ShownActiveMQ, ActiveMQ6):
    pass


class _ShownArtemis(Artemis):
    def __init__(self, server: Path, folder: Path, agent: Agent) -> None:
        super().__init__(server, folder)
        self._agent = agent

    def _create(self) -> None:
        super()._create()
        etc = self.instance / "etc"
        with (etc / "artemis.profile").open("a") as profile:
            profile.write(f'\nJAVA_ARGS="$JAVA_ARGS {self._agent.option("/console/jolokia")}"\n')
        # In its console Jolokia asks as whoever has logged in; here there is nobody whose role could be looked at.
        management = etc / "management.xml"
        management.write_text(management.read_text().replace("<allowlist>", f"<allowlist>{OPEN}", 1))


def _made(kind: str, folder: Path, agent: Agent) -> TestBroker:
    server = KINDS[kind].server()
    assert server is not None, "the caller has the same kind running"
    if kind == "artemis":
        return artemis.broker(_ShownArtemis(server, folder, agent))
    shown = _ShownActiveMQ6 if kind == "activemq6" else _ShownActiveMQ
    return activemq.broker(kind, shown(server, folder, agent))


@contextmanager
def shown_by_jolokia(kind: str) -> Iterator[TestBroker]:
    """Run one. Raises Unavailable."""
    if not maven.is_there():
        raise Unavailable("Maven or Java is missing")
    artifact = f"org.jolokia:jolokia-agent-jvm:{VERSION}:jar:javaagent"
    agent = Agent(maven.jar(f"jolokia-agent-{VERSION}", artifact), free_port())
    with TemporaryDirectory(prefix="stompconsole-jolokia-", ignore_cleanup_errors=True) as name:
        made = replace(_made(kind, Path(name), agent), management=agent.url)
        try:
            made.rig.start()
            made.wait_until_ready()
            yield made
        finally:
            made.rig.close()

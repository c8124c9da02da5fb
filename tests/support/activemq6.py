"""ActiveMQ Classic 6 from Maven Central's jars: configured as ``activemq.py`` has it, an own instance with own data."""

from __future__ import annotations

import hashlib
from pathlib import Path

from tests.support import activemq, maven
from tests.support.activemq import ActiveMQ
from tests.support.brokers import TestBroker

POM = Path(__file__).with_name("activemq6_pom.xml")


def server() -> Path | None:
    """The folder with its jars, fetched if need be; None without Maven or Java. Raises Unavailable."""
    if not maven.is_there():
        return None
    # Another pom, another folder: it is fetched again when a version changes.
    return maven.jars(f"activemq6-{hashlib.sha256(POM.read_bytes()).hexdigest()[:12]}", POM)


class ActiveMQ6(ActiveMQ):
    """One instance."""

    @property
    def home(self) -> Path:
        # Not the package's: its jars of version 5 would be taken as well.
        return self._folder

    def program(self) -> list[str]:
        level = "-Dorg.apache.logging.log4j.level=INFO"
        return [level, "-cp", f"{self._server}/*", "org.apache.activemq.console.Main"]


def make(server: Path, folder: Path) -> TestBroker:
    """The instance as tests see it."""
    return activemq.broker("activemq6", ActiveMQ6(server, folder))

"""ActiveMQ Classic from the installed server package: an own instance on a free port with its own data.

Its login is checked (simpleAuthenticationPlugin) and it dead-letters a queue ``x`` to ``DLQ.x``.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from shutil import which

from tests.support import processes
from tests.support.brokers import TestBroker
from tests.support.ports import free_port
from tests.support.process_rig import ProcessRig
from tests.support.processes import ManagedProcess
from tests.support.servers import HOST

HOME = Path("/usr/share/activemq")
JARS = Path("/usr/share/java")
STATISTICS_JARS = ("xstream.jar", "xpp3.jar", "jettison.jar")
"""What the statistics plugin answers with; Debian's activemq does without."""
PACKAGES = ("activemq", "default-jre-headless", "libxstream-java", "libjettison-java")
USER = "app"
PASSWORD = "secret"

CONFIG = """\
<beans xmlns="http://www.springframework.org/schema/beans" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"
  xsi:schemaLocation="http://www.springframework.org/schema/beans http://www.springframework.org/schema/beans/spring-beans.xsd
  http://activemq.apache.org/schema/core http://activemq.apache.org/schema/core/activemq-core.xsd">
  <broker xmlns="http://activemq.apache.org/schema/core" brokerName="tests" dataDirectory="{folder}/data"
      useJmx="false" schedulerSupport="true">
    <destinationPolicy><policyMap><policyEntries>
      <policyEntry queue=">">
        <deadLetterStrategy>
          <individualDeadLetterStrategy queuePrefix="DLQ." useQueueForQueueMessages="true"/>
        </deadLetterStrategy>
      </policyEntry>
    </policyEntries></policyMap></destinationPolicy>
    <persistenceAdapter><kahaDB directory="{folder}/data/kahadb"/></persistenceAdapter>
    <plugins><simpleAuthenticationPlugin><users>
      <authenticationUser username="{user}" password="{password}" groups="users"/>
    </users></simpleAuthenticationPlugin><statisticsBrokerPlugin/></plugins>
    <systemUsage><systemUsage>
      <memoryUsage><memoryUsage limit="128 mb"/></memoryUsage>
      <storeUsage><storeUsage limit="1 gb"/></storeUsage>
      <tempUsage><tempUsage limit="256 mb"/></tempUsage>
    </systemUsage></systemUsage>
    <transportConnectors>
      <transportConnector name="stomp" uri="stomp://{host}:{port}?transport.hbGracePeriodMultiplier=1.5"/>
    </transportConnectors>
  </broker>
</beans>
"""


def server() -> Path | None:
    """The server's jar, if the packages and a Java are installed."""
    jar = HOME / "bin" / "activemq.jar"
    needed = (jar, *(JARS / name for name in STATISTICS_JARS))
    return jar if all(each.exists() for each in needed) and which("java") else None


class ActiveMQ(ProcessRig):
    """One instance."""

    java_options: Sequence[str] = ()

    def __init__(self, server: Path, folder: Path) -> None:
        super().__init__(server, folder)
        self.stomp = free_port()

    @property
    def home(self) -> Path:
        """Where it looks for more jars."""
        return HOME

    def launch(self) -> ManagedProcess:
        self._configure()
        return processes.start(self._command(), cwd=self._folder, output=self._folder / "output.txt")

    def _configure(self) -> None:
        (self._folder / "conf").mkdir(exist_ok=True)
        (self._folder / "data").mkdir(exist_ok=True)
        optional = self._folder / "lib" / "optional"
        optional.mkdir(parents=True, exist_ok=True)
        for jar in STATISTICS_JARS:
            if (JARS / jar).exists() and not (optional / jar).exists():
                (optional / jar).symlink_to(JARS / jar)
        text = CONFIG.format(folder=self._folder, host=HOST, port=self.stomp, user=USER, password=PASSWORD)
        (self._folder / "conf" / "activemq.xml").write_text(self.configure(text))

    def configure(self, activemq_xml: str) -> str:
        """The activemq.xml of all, as this one is to have it."""
        return activemq_xml

    def _command(self) -> list[str]:
        folder = self._folder
        places = {"home": self.home, "base": folder, "conf": folder / "conf", "data": folder / "data"}
        return [
            "java",
            "-Xmx512M",
            *self.java_options,
            f"-Djava.io.tmpdir={folder}",
            *(f"-Dactivemq.{name}={path}" for name, path in places.items()),
            *self.program(),
            "start",
            f"xbean:file:{folder}/conf/activemq.xml",
        ]

    def program(self) -> list[str]:
        """What java is told to run."""
        return ["-jar", str(self._server)]


def make(server: Path, folder: Path) -> TestBroker:
    """The instance as tests see it."""
    return broker("activemq", ActiveMQ(server, folder))


def broker(name: str, rig: ActiveMQ) -> TestBroker:
    """An instance of either version."""
    return TestBroker(name=name, port=rig.stomp, user=USER, password=PASSWORD, rig=rig)

"""RabbitMQ from the installed server package: an own node on free ports with its own data.

Owns the node's folder, its configuration and its epmd. Nothing of a RabbitMQ that this machine may run is touched.
"""

from __future__ import annotations

import os
import uuid
from pathlib import Path

from tests.support import processes
from tests.support.brokers import TestBroker
from tests.support.management import Management
from tests.support.ports import free_ports
from tests.support.process_rig import ProcessRig
from tests.support.processes import ManagedProcess
from tests.support.servers import HOST

SERVER_PATTERN = "rabbitmq_server-*/sbin/rabbitmq-server"
LIBRARY = Path("/usr/lib/rabbitmq/lib")
PACKAGES = ("rabbitmq-server",)

CONFIG = """\
listeners.tcp.default = 127.0.0.1:{amqp}
stomp.listeners.tcp.1 = 127.0.0.1:{stomp}
management.tcp.ip = 127.0.0.1
management.tcp.port = {management}
loopback_users = none
log.console = true
log.console.level = warning
disk_free_limit.absolute = 50MB
collect_statistics_interval = 1000
"""


def server() -> Path | None:
    """The server script itself: Debian's wrapper in PATH would change the user and keep one set of data."""
    found = sorted(LIBRARY.glob(SERVER_PATTERN))
    return found[-1] if found else None


class RabbitMQ(ProcessRig):
    """One node."""

    def __init__(self, server: Path, folder: Path) -> None:
        super().__init__(server, folder)
        self._epmd: ManagedProcess | None = None
        self._amqp, self.stomp, self.management, self._distribution, self._epmd_port = free_ports(5)

    def launch(self) -> ManagedProcess:
        self._configure()
        if self._epmd is None:
            # Else the node starts one for the whole machine, which outlives it.
            self._epmd = processes.start(["epmd"], env=self._environment(), output=self._folder / "epmd.txt")
        output = self._folder / "output.txt"
        return processes.start([self._server], env=self._environment(), cwd=self._folder, output=output)

    def close(self) -> None:
        super().close()
        if self._epmd is not None:
            self._epmd.kill()

    def _configure(self) -> None:
        ports = {"amqp": self._amqp, "stomp": self.stomp, "management": self.management}
        (self._folder / "rabbitmq.conf").write_text(CONFIG.format_map(ports))
        (self._folder / "enabled_plugins").write_text("[rabbitmq_stomp,rabbitmq_management].\n")

    def _environment(self) -> dict[str, str]:
        folder = str(self._folder)
        return {
            "HOME": folder,  # where the node keeps its cookie
            "ERL_EPMD_PORT": str(self._epmd_port),
            "ERL_EPMD_ADDRESS": HOST,
            "RABBITMQ_NODENAME": f"stompconsole{os.getpid()}@localhost",
            "RABBITMQ_DIST_PORT": str(self._distribution),
            "RABBITMQ_CONF_ENV_FILE": f"{folder}/rabbitmq-env.conf",
            "RABBITMQ_CONFIG_FILE": f"{folder}/rabbitmq.conf",
            "RABBITMQ_ADVANCED_CONFIG_FILE": f"{folder}/advanced.config",
            "RABBITMQ_ENABLED_PLUGINS_FILE": f"{folder}/enabled_plugins",
            "RABBITMQ_MNESIA_BASE": f"{folder}/mnesia",
            "RABBITMQ_LOG_BASE": f"{folder}/log",
            "RABBITMQ_LOGS": "-",
            "RABBITMQ_PID_FILE": f"{folder}/pid",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 2:2 +sbwt none",
        }


class RabbitMQBroker(TestBroker):
    """A node that has what it has confirmed after it was killed."""

    def kill(self) -> None:
        # The queue that was declared last is gone after a kill, with all that was confirmed of it, unless some seconds
        # have passed: that it was committed is not written before something else of that kind is (Mnesia's log).
        with Management(self) as management:
            management.declare(f"killed-{uuid.uuid4().hex}")
        super().kill()


def make(server: Path, folder: Path) -> TestBroker:
    """The node as tests see it."""
    rig = RabbitMQ(server, folder)
    return RabbitMQBroker(
        name="rabbitmq",
        port=rig.stomp,
        user="guest",
        password="guest",
        management=f"http://{HOST}:{rig.management}",
        rig=rig,
    )

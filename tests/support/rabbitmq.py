"""RabbitMQ from the installed server package: an own node on free ports with its own data.

Owns the node's folder, its configuration and its epmd. Nothing of a RabbitMQ that this machine may run is touched.
"""

from __future__ import annotations

import os
from pathlib import Path

from tests.support import processes
from tests.support.brokers import HOST, LOG_CHARACTERS, TestBroker
from tests.support.ports import free_ports
from tests.support.processes import ManagedProcess

SERVER_PATTERN = "rabbitmq_server-*/sbin/rabbitmq-server"
LIBRARY = Path("/usr/lib/rabbitmq/lib")
PACKAGES = ("rabbitmq-server",)
STOP_TIMEOUT_S = 60.0

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


class RabbitMQ:
    """One node, in ``folder``."""

    def __init__(self, script: Path, folder: Path) -> None:
        self._script = script
        self._folder = folder
        self._process: ManagedProcess | None = None
        self._epmd: ManagedProcess | None = None
        self._amqp, self.stomp, self.management, self._distribution, self._epmd_port = free_ports(5)

    def start(self) -> None:
        if self.is_running():
            return
        self._configure()
        if self._epmd is None:
            # Else the node starts one for the whole machine, which outlives it.
            self._epmd = processes.start(["epmd"], env=self._environment(), output=self._folder / "epmd.txt")
        self._process = processes.start(
            [self._script], env=self._environment(), cwd=self._folder, output=self._folder / "output.txt"
        )

    def is_running(self) -> bool:
        return self._process is not None and self._process.returncode is None

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate(timeout_s=STOP_TIMEOUT_S)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()

    def close(self) -> None:
        self.kill()
        if self._epmd is not None:
            self._epmd.kill()

    def log(self) -> str:
        return self._process.text()[-LOG_CHARACTERS:] if self._process is not None else ""

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


def broker(rig: RabbitMQ) -> TestBroker:
    """The node as tests see it."""
    return TestBroker(
        name="rabbitmq",
        port=rig.stomp,
        user="guest",
        password="guest",
        management=f"http://{HOST}:{rig.management}",
        rig=rig,
    )

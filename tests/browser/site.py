"""A console of its own for a browser test: development broker, worker and web server as processes, a database."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx

from stompconsole.delivery.specs import BrokerSpec
from stompconsole.transport.session import Endpoint
from tests.delivery.running import send
from tests.support import processes
from tests.support.ports import free_port
from tests.support.processes import ManagedProcess
from tests.support.waiting import until

USER = "operator"
PASSWORD = "a-long-enough-password"


class Site:
    """Its URL, its broker, and a hand on its processes."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.broker_port = free_port()
        self._environment = {
            "STOMPCONSOLE_VAR": str(folder),
            "STOMPCONSOLE_TEST_RUN": str(folder),
            "DJANGO_SETTINGS_MODULE": "stompconsole.project.settings",
            "DJANGO_SUPERUSER_PASSWORD": PASSWORD,
            "STOMPCONSOLE_TRY_HANDLERS": "yes",
        }
        self._processes: list[ManagedProcess] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        for command in (
            ["migrate", "--verbosity=0"],
            ["createsuperuser", "--noinput", f"--username={USER}", "--email="],
        ):
            assert self._manage(*command).wait(60) == 0
        self._keep(processes.start([sys.executable, "-m", "stompconsole.devbroker", "--port", str(self.broker_port)]))
        self._keep(
            processes.start(
                [sys.executable, "-m", "daphne", "-p", str(self.port), "stompconsole.project.asgi:application"],
                env=self._environment,
            )
        )
        self._processes[0].wait_for_line("Development broker on")
        until(self._answers, 30, "the web server answers")

    def worker(self) -> ManagedProcess:
        return self._keep(self._manage("runworker", "stomp"))

    def send(self, queue: str, bodies: Sequence[Any]) -> None:
        """Messages for a queue of the development broker, as JSON."""
        endpoint = Endpoint(host="127.0.0.1", port=self.broker_port)
        send(BrokerSpec(name="site", endpoints=(endpoint,)), queue, bodies, **{"content-type": "application/json"})

    def fill(self, count: int) -> None:
        """Dead letters in the database, as the benchmark makes them: 85 of a hundred are dead."""
        made = f"from bench.django_setup import set_up; set_up(); from bench.letters import fill; fill({count})"
        assert self._keep(processes.start([sys.executable, "-c", made], env=self._environment)).wait(60) == 0

    def close(self) -> None:
        for process in self._processes:
            process.kill()

    def _manage(self, *arguments: str) -> ManagedProcess:
        return processes.start_manage(*arguments, env=self._environment)

    def _keep(self, process: ManagedProcess) -> ManagedProcess:
        self._processes.append(process)
        return process

    def _answers(self) -> bool:
        try:
            return httpx.get(f"{self.url}/console/healthz", timeout=5.0).is_success
        except httpx.HTTPError:
            return False

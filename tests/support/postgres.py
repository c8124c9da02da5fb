"""PostgreSQL from the installed server package: an own cluster on a free port, in which nothing is kept for long."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from tests.support import processes
from tests.support.ports import free_port
from tests.support.process_rig import STOP_TIMEOUT_S, ProcessRig
from tests.support.processes import ManagedProcess
from tests.support.servers import HOST, Rig, TestServer

LIBRARY = Path("/usr/lib/postgresql")
PACKAGES = ("postgresql",)
USER = "postgres"


def server() -> Path | None:
    """The newest installed server."""
    found = sorted(LIBRARY.glob("*/bin/postgres"), key=lambda path: int(path.parts[-3]))
    return found[-1] if found else None


class Postgres(ProcessRig):
    """One cluster. As root it runs as the package's user, since it refuses to run as root."""

    # SIGINT: sessions are ended, then it stops. SIGTERM would wait for them.
    stop_signal: ClassVar[signal.Signals] = signal.SIGINT

    durability: ClassVar[Mapping[str, str]] = {"fsync": "off", "full_page_writes": "off"}

    def __init__(self, server: Path, folder: Path) -> None:
        super().__init__(server, folder)
        self.port = free_port()
        self.password = secrets.token_hex(8)

    def kill(self) -> None:
        # SIGQUIT: it ends as in a crash, and so do its children. SIGKILL would leave them behind for a while.
        if self._process is not None and self.is_running():
            self._process.signal(signal.SIGQUIT)
            self._process.wait(STOP_TIMEOUT_S)

    def launch(self) -> ManagedProcess:
        data = self._folder / "data"
        if not data.exists():
            self._make_cluster(data)
        options = {
            "port": self.port, "listen_addresses": HOST, "unix_socket_directories": "", "max_connections": 50,
            **self.durability,
        }  # fmt: skip
        settings = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        command = [*_as_its_user(), str(self._server), "-D", str(data), *settings]
        return processes.start(command, cwd=self._folder, output=self._folder / "output.txt")

    def _make_cluster(self, data: Path) -> None:
        data.mkdir()
        # A password even here: who else is on this machine could have a superuser run commands as us.
        password = self._folder / "password.txt"
        password.touch(0o600)
        password.write_text(self.password)
        if os.geteuid() == 0:
            shutil.chown(data, USER, USER)
            shutil.chown(password, USER, USER)
        initdb = self._server.with_name("initdb")
        options = [f"--username={USER}", f"--pwfile={password}", "--auth=scram-sha-256"]
        options += ["--encoding=UTF8", "--locale=C.UTF-8", "--no-sync"]
        command = [*_as_its_user(), str(initdb), *options, str(data)]
        subprocess.run(command, check=True, cwd=self._folder, stdout=subprocess.DEVNULL, timeout=60)


class DurablePostgres(Postgres):
    """One that has on disk what it has committed, as in production: for measuring."""

    durability: ClassVar[Mapping[str, str]] = {}


def _as_its_user() -> list[str]:
    if os.geteuid() != 0:
        return []
    return ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups"]


def make(server: Path, folder: Path) -> TestServer:
    """The cluster as tests see it."""
    return _of(Postgres(server, folder))


def make_durable(server: Path, folder: Path) -> TestServer:
    """The cluster as the benchmark sees it."""
    return _of(DurablePostgres(server, folder))


def _of(rig: Postgres) -> TestServer:
    return at(f"postgres://{USER}:{rig.password}@{HOST}:{rig.port}/postgres", rig)


def at(url: str, rig: Rig) -> TestServer:
    """A cluster by its URL."""
    return TestServer(name="postgres", url=url, rig=rig, probe=lambda: _answers(url))


def _answers(url: str) -> bool:
    import psycopg

    try:
        with psycopg.connect(url, connect_timeout=5):
            return True
    except psycopg.OperationalError:
        return False

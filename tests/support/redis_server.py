"""Redis from the installed server package: an own server on a free port that keeps nothing."""

from __future__ import annotations

import socket
from contextlib import suppress
from pathlib import Path
from shutil import which
from urllib.parse import urlsplit

from tests.support import processes
from tests.support.ports import free_port
from tests.support.process_rig import ProcessRig
from tests.support.processes import ManagedProcess
from tests.support.servers import HOST, Rig, TestServer

PACKAGES = ("redis-server",)


def server() -> Path | None:
    """The installed server."""
    found = which("redis-server")
    return Path(found) if found else None


class Redis(ProcessRig):
    """One server."""

    def __init__(self, server: Path, folder: Path) -> None:
        super().__init__(server, folder)
        self.port = free_port()

    def launch(self) -> ManagedProcess:
        command = [str(self._server), "--port", str(self.port), "--bind", HOST, "--save", "", "--appendonly", "no"]
        return processes.start(command, cwd=self._folder, output=self._folder / "output.txt")


def make(server: Path, folder: Path) -> TestServer:
    """The server as tests see it."""
    rig = Redis(server, folder)
    return at(f"redis://{HOST}:{rig.port}/0", rig)


def at(url: str, rig: Rig) -> TestServer:
    """A server by its URL."""
    return TestServer(name="redis", url=url, rig=rig, probe=lambda: _answers(url))


def _answers(url: str) -> bool:
    parts = urlsplit(url)
    with (
        suppress(OSError),
        socket.create_connection((parts.hostname or HOST, parts.port or 6379), 5) as client,
    ):
        client.sendall(b"PING\r\n")
        # A server that wants a password first is there as well.
        return client.recv(64).startswith((b"+PONG", b"-NOAUTH"))
    return False

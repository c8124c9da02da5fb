"""``make demo``: one command up, one signal down, nothing asked and nothing left."""

from __future__ import annotations

import signal
import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from tests.support import processes
from tests.support.brokers import TestBroker
from tests.support.ports import free_port
from tests.support.processes import ManagedProcess
from tests.support.waiting import until

pytestmark = pytest.mark.slow


class Demo:
    """A demo in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()

    def start(self, **environment: str) -> ManagedProcess:
        given = {"PORT": str(self.port), "DEMO_PASSWORD": "swordfish", "STOMPCONSOLE_VAR": str(self.folder)}
        settings = {"DJANGO_SETTINGS_MODULE": "stompconsole.project.settings"}
        command = ["make", "--no-print-directory", "demo"]
        return processes.start(command, env={**given, **settings, **processes.OF_NO_MAKE, **environment})

    def left(self) -> list[str]:
        """The command lines of processes of this demo that still run."""
        mark = f"STOMPCONSOLE_VAR={self.folder}".encode()
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                if mark in (entry / "environ").read_bytes().split(b"\0"):
                    found.append((entry / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        return found


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[Demo]:
    made = Demo(tmp_path)
    yield made
    until(lambda: not made.left(), 20, f"nothing is left of the demo: {made.left()}")


def wait_for_messages(demo: Demo) -> None:
    """Sign in as the printed user and wait until messages are handled."""
    with httpx.Client(base_url=f"http://127.0.0.1:{demo.port}", follow_redirects=True, timeout=10.0) as client:
        token = client.get("/admin/login/").cookies["csrftoken"]
        form = {"username": "admin", "password": "swordfish", "csrfmiddlewaretoken": token, "next": "/console/"}
        page = client.post("/admin/login/", data=form)
        assert page.url.path == "/console/"
        until(lambda: "running 1 of 1" in client.get("/console/").text, 20, "a consumer runs")
        until(lambda: "KeyError" in client.get("/console/dead-letters/").text, 40, "an order has failed")


def test_it_prints_url_and_login_runs_and_ends_every_process_on_sigterm_twice(demo: Demo) -> None:
    for _ in range(2):
        process = demo.start()
        process.wait_for_line(rf"^Console: http://127\.0\.0\.1:{demo.port}/console/$", 60)
        process.wait_for_line(r"^Login: admin / swordfish$")
        wait_for_messages(demo)
        process.signal(signal.SIGTERM)
        process.wait(40)
        assert demo.left() == []


def test_ctrl_c_ends_every_process(demo: Demo) -> None:
    process = demo.start()
    process.wait_for_line(r"^Login:", 60)
    process.interrupt_group()
    process.wait(40)
    assert demo.left() == []


def test_nothing_outlives_a_demo_that_is_killed(demo: Demo) -> None:
    process = demo.start()
    process.wait_for_line(r"^Login:", 60)
    process.kill()
    until(lambda: demo.left() == [], 40, "its processes have ended")


def test_it_uses_the_broker_of_the_settings_where_one_is_named(demo: Demo, devbroker: TestBroker) -> None:
    login = {"STOMP_SERVER_USER": devbroker.user, "STOMP_SERVER_PASSWORD": devbroker.password}
    process = demo.start(STOMP_SERVER_HOST=devbroker.host, STOMP_SERVER_PORT=str(devbroker.port), **login)
    process.wait_for_line(r"^Login:", 60)
    assert "Development broker" not in process.text()
    wait_for_messages(demo)
    process.terminate()


@pytest.mark.parametrize("port", ["taken", "eighty", "70000"])
def test_a_port_it_can_t_use_is_named(demo: Demo, port: str) -> None:
    with socket.create_server(("127.0.0.1", demo.port)):
        process = demo.start(PORT=str(demo.port) if port == "taken" else port)
        assert process.wait(40) != 0
    assert (str(demo.port) if port == "taken" else port) in process.text()
    assert "Traceback" not in process.text()

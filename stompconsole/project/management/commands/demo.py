"""``manage.py demo``: the whole console with a broker, a worker and some traffic, in one command."""

from __future__ import annotations

import os
import secrets
import signal
import socket
import threading
from pathlib import Path
from typing import Any

import httpx
from django.conf import settings
from django.core.management import BaseCommand, CommandError, call_command

from stompconsole.conf import settings_now
from stompconsole.errors import BrokerError
from stompconsole.project.demo.processes import Child, Family, wait_for_line
from stompconsole.project.demo.rows import USER, make_rows
from stompconsole.project.demo.traffic import STEP_S, Traffic

HOST = "127.0.0.1"
READY_TIMEOUT_S = 60.0
GREETING = "Development broker on "


class Command(BaseCommand):
    help = "Start a development broker, a worker, the web server and some traffic; Ctrl-C ends them all."

    def handle(self, *args: Any, **options: Any) -> None:
        stop = threading.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: stop.set())
        port = _port()
        # Its handlers do nothing that could not be done twice.
        environment = {"STOMPCONSOLE_TRY_HANDLERS": "yes", **os.environ, "PYTHONUNBUFFERED": "1"}
        family = Family(Path(settings.VAR_DIR) / "demo", environment)
        try:
            self._run(family, port, stop)
        finally:
            self.stdout.write("Ending ...")
            family.stop()

    def _run(self, family: Family, port: int, stop: threading.Event) -> None:
        password = os.environ.get("DEMO_PASSWORD") or secrets.token_urlsafe(9)
        call_command("migrate", verbosity=0, interactive=False)
        broker = make_rows(password, self._start_broker(family))
        family.start("worker", ["manage.py", "runworker", "stomp"])
        web = family.start(
            "web", ["-m", "daphne", "-b", HOST, "-p", str(port), "stompconsole.project.asgi:application"]
        )
        self._wait_for_web(web, port, stop)
        self.stdout.write(f"Console: http://{HOST}:{port}/console/")
        self.stdout.write(f"Login: {USER} / {password}")
        self.stdout.write(f"Logs: {family.folder}   Ctrl-C ends everything.")
        self._keep_going(family, Traffic(broker.name), stop)

    def _start_broker(self, family: Family) -> int | None:
        """Start the development broker, unless the settings name another; gives its port."""
        if settings_now().stomp is not None:
            return None
        broker = family.start("broker", ["-m", "stompconsole.devbroker", "--port", "0"])
        line = wait_for_line(broker, GREETING, READY_TIMEOUT_S)
        self.stdout.write(line)
        return int(line.removeprefix(GREETING).split()[0].rpartition(":")[2])

    def _wait_for_web(self, web: Child, port: int, stop: threading.Event) -> None:
        for _ in range(int(READY_TIMEOUT_S / 0.1)):
            if stop.wait(0.1):
                return
            if web.process.poll() is not None:
                raise CommandError(f"The web server ended at once:\n{web.tail()}")
            try:
                httpx.get(f"http://{HOST}:{port}/console/healthz", timeout=5.0).raise_for_status()
            except httpx.HTTPError:
                continue
            return
        raise CommandError(f"The web server did not answer in {READY_TIMEOUT_S:g} s:\n{web.tail()}")

    def _keep_going(self, family: Family, traffic: Traffic, stop: threading.Event) -> None:
        trouble = ""
        while not stop.wait(STEP_S):
            ended = family.ended()
            if ended is not None:
                raise CommandError(f"The {ended.name} ended by itself ({ended.process.returncode}):\n{ended.tail()}")
            try:
                traffic.step()
            except BrokerError as error:
                if str(error) != trouble:
                    self.stderr.write(f"No traffic for now: {error}")
                trouble = str(error)
            else:
                trouble = ""


def _port() -> int:
    """The port to serve on. Raises CommandError when it is no port, or taken."""
    text = os.environ.get("PORT") or "8000"
    if not text.isdigit() or not 0 < int(text) < 65_536:
        raise CommandError(f"PORT is {text!r}; allowed is a number from 1 to 65535.")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, int(text)))
        except OSError as error:
            raise CommandError(
                f"Port {text} of {HOST} can't be used ({error}): choose another, PORT=8001 make demo."
            ) from None
    return int(text)

"""What a test with real worker processes stands on: rows, a broker, a ledger of what handlers were given."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from django.db import connection

from stompconsole.delivery.senders import Senders
from stompconsole.delivery.specs import BrokerSpec, Purpose
from stompconsole.models import Broker, Consumer, Subscription, Worker
from tests.support import processes
from tests.support.brokers import TestBroker
from tests.support.processes import ManagedProcess
from tests.support.waiting import until

QUICK = {"POLL_INTERVAL": 0.3, "LEASE": 3.0, "HEARTBEAT": 0.3, "STALE_AFTER": 1.5}


def database_url(timeout_s: int) -> str:
    """The test's database for other processes."""
    at = connection.settings_dict
    if connection.vendor == "sqlite":
        return f"sqlite:///{at['NAME']}?timeout={timeout_s}"
    return f"postgresql://{at['USER']}:{at['PASSWORD']}@{at['HOST']}:{at['PORT']}/{at['NAME']}"


class Stage:
    """One test's world."""

    def __init__(self, broker: TestBroker, folder: Path) -> None:
        self.broker = broker
        self.folder = folder
        self._ledger = folder / "ledger.txt"
        self._ledger.touch()
        self._senders = Senders()
        self._workers: list[ManagedProcess] = []
        self.row = Broker.objects.create(
            name="here", host=broker.host, port=broker.port, user=broker.user, password=broker.password
        )

    def __enter__(self) -> Stage:
        return self

    def __exit__(self, *exc_info: object) -> None:
        for worker in self._workers:
            worker.kill()
            # Shown by pytest when the test has failed.
            print(f"--- worker {worker.pid}:\n{worker.text()}")
        self._senders.close(1.0)

    def consumer(self, name: str, handler: str = "note", **fields: Any) -> Consumer:
        """A row that asks for a consumer."""
        defaults = {"destination": f"/queue/{name}", "capture": False, "prefetch": 10, "broker": self.row}
        return Consumer.objects.create(
            name=name, handler=f"tests.worker.sample.handlers.{handler}", **{**defaults, **fields}
        )

    def worker(
        self, *, wait_s: float = 10.0, database_timeout: int = 20, redis: str = "", **settings: float
    ) -> ManagedProcess:
        """Start ``runworker stomp``. ``settings`` are keys of STOMPCONSOLE, ``redis`` is a URL."""
        environment = self.environment(wait_s=wait_s, database_timeout=database_timeout, **settings)
        process = processes.start_manage("runworker", "stomp", env={**environment, "REDIS_URL": redis})
        self._workers.append(process)
        return process

    def environment(self, *, wait_s: float = 10.0, database_timeout: int = 20, **settings: float) -> dict[str, str]:
        """The environment of a process that plays here."""
        return {
            "DJANGO_SETTINGS_MODULE": "tests.worker.settings",
            "DATABASE_URL": database_url(database_timeout),
            "SECRET_KEY": "tests-need-no-secret",
            "TEST_STOMPCONSOLE": json.dumps({**QUICK, **settings}),
            "TEST_GRACEFUL_WAIT": str(wait_s),
            "TEST_LEDGER": str(self._ledger),
        }

    def send(self, destination: str, bodies: Iterable[object], **headers: str) -> None:
        """Send bodies as JSON and wait for the receipts."""
        sender = self._senders.of(self.spec())
        fields = {**sender.dialect().send_headers(destination), **headers}
        futures = [sender.send(destination, fields, json.dumps(body).encode()) for body in bodies]
        for future in futures:
            future.result(20)

    def spec(self) -> BrokerSpec:
        return self.broker.broker_spec(name="stage")

    def open_gate(self) -> None:
        """Let the handlers that are held up go on."""
        self._ledger.with_suffix(".gate").touch()

    def written(self, word: str = "done") -> list[str]:
        """The bodies that handlers wrote down with this word, in order."""
        return [line[2] for line in self._lines() if line[0] == word]

    def written_by(self, word: str = "done") -> Counter[int]:
        """How many each process wrote down."""
        return Counter(int(line[1]) for line in self._lines() if line[0] == word)

    def _lines(self) -> list[list[str]]:
        # Up to the last line break: a handler may be in the middle of its line.
        whole = self._ledger.read_text(encoding="utf-8").rpartition("\n")[0]
        return [line.split(" ", 2) for line in whole.splitlines()]

    def slots(self, consumer: Consumer, purpose: Purpose = Purpose.CONSUME) -> list[Subscription]:
        return list(consumer.subscriptions.filter(purpose=purpose.value).select_related("worker").order_by("slot"))

    def wait_for(self, consumer: Consumer, state: str, count: int = 1, timeout_s: float = 20.0) -> list[Subscription]:
        """Wait until that many slots of a consumer are held and in a state."""

        def found() -> list[Subscription]:
            slots = [slot for slot in self.slots(consumer) if slot.state == state and slot.worker_id]
            return slots if len(slots) == count else []

        return until(found, timeout_s, f"{count} slots of {consumer} {state}; there is {self.describe()}")

    def wait_for_worker(self, process: ManagedProcess) -> Worker:
        """Wait until a process has registered."""
        return until(lambda: Worker.objects.filter(pid=process.pid).first(), 20, f"worker {process.pid} registers")

    def describe(self) -> str:
        return "; ".join(f"{slot} {slot.state} {slot.reason}" for slot in Subscription.objects.all())

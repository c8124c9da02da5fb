"""What a variant is given: a broker, a queue, how many messages; and what all variants share."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from stompconsole import transport
from stompconsole.brokers import Wanted, dialect_for
from stompconsole.delivery.specs import BrokerSpec
from stompconsole.transport import frames
from stompconsole.transport.frames import Frame
from stompconsole.transport.session import Endpoint, Login, Session

PREFETCH = 100
LIMIT_S = 120.0
BODY = json.dumps({"order": 99_120, "lines": [{"sku": "A-17", "quantity": 2}], "note": "x" * 236}).encode()
WINDOW = 1_000
"""SENDs whose receipts are awaited at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """One queue and how to reach it. ``target`` is where messages are moved to, if they are."""

    host: str
    port: int
    user: str
    password: str
    queue: str
    target: str = ""
    count: int

    def arguments(self) -> list[str]:
        """As the arguments of a process."""
        return [str(value) for value in asdict(self).values()]

    @classmethod
    def of(cls, arguments: list[str]) -> Workload:
        """From the arguments of a process."""
        given: dict[str, Any] = dict(zip((field.name for field in fields(cls)), arguments, strict=True))
        return cls(**{**given, "port": int(given["port"]), "count": int(given["count"])})

    def broker(self) -> BrokerSpec:
        """As the project knows a broker."""
        return BrokerSpec(
            name="bench",
            endpoints=(Endpoint(host=self.host, port=self.port),),
            login=Login(user=self.user, password=self.password),
        )

    def environment(self) -> dict[str, str]:
        """As django-stomp's settings know one."""
        return {
            "STOMP_SERVER_HOST": self.host,
            "STOMP_SERVER_PORT": str(self.port),
            "STOMP_SERVER_USER": self.user,
            "STOMP_SERVER_PASSWORD": self.password,
        }

    def connect(self) -> Session:
        """A session of ours."""
        return transport.connect(
            Endpoint(host=self.host, port=self.port), Login(user=self.user, password=self.password)
        )

    def subscribe_headers(self, server: str) -> Mapping[str, str]:
        """What this broker needs on SUBSCRIBE for a fair window."""
        return dialect_for("auto", server).subscribe(Wanted(destination=self.queue, prefetch=PREFETCH)).headers

    def send_headers(self, server: str) -> Mapping[str, str]:
        """What this broker needs on SEND for a message that is stored."""
        headers = dialect_for("auto", server).send_headers(self.queue)
        return {**headers, "content-type": "application/json", "content-length": str(len(BODY))}


def preload(work: Workload) -> None:
    """Put ``count`` persistent messages into the queue, each confirmed."""
    session = work.connect()
    headers = {"destination": work.queue, **work.send_headers(session.server)}
    for start in range(0, work.count, WINDOW):
        sent = [session.request("SEND", headers, BODY) for _ in range(min(WINDOW, work.count - start))]
        for receipt in sent:
            receipt.result(LIMIT_S)
    session.disconnect(5.0)


def drain(work: Workload) -> None:
    """Take ``count`` messages out of the target: what they leave there fills the broker's memory round by round, until
    it takes nothing more."""
    session = work.connect()
    taken: list[None] = []
    done = threading.Event()

    def take(frame: Frame) -> None:
        taken.append(None)
        session.write(frames.ack(frame.headers["ack"]))
        if len(taken) >= work.count:
            done.set()

    wanted = dialect_for("auto", session.server).subscribe(Wanted(destination=work.target, prefetch=PREFETCH))
    session.subscribe("drain", wanted.destination, "client-individual", wanted.headers, take).result(LIMIT_S)
    wait(done, lambda: len(taken), work.count)
    session.disconnect(5.0)


def wait(done: threading.Event, progress: Callable[[], int], count: int) -> None:
    """Wait for the last message under a limit that names how far it came."""
    if not done.wait(LIMIT_S):
        raise SystemExit(f"only {progress()} of {count} messages came in {LIMIT_S:g} s")


def run(variants: Mapping[str, Callable[[Workload], float]], arguments: list[str]) -> None:
    """Run one variant in this process; prints ``{"seconds": …}``."""
    logging.disable(logging.CRITICAL)
    print(json.dumps({"seconds": variants[arguments[0]](Workload.of(arguments[1:]))}))

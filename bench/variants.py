"""What is measured, one variant per process: drain a preloaded queue, ACK each message, end with a receipt.

``python -m bench.variants VARIANT HOST PORT USER PASSWORD QUEUE COUNT`` prints ``{"seconds": …}``: from SUBSCRIBE
to the RECEIPT of DISCONNECT, which follows the last ACK on the wire.
"""

from __future__ import annotations

import json
import logging
import os
import socket
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import django
import stomp

from stompconsole import transport
from stompconsole.delivery.handling import HandlerWork
from stompconsole.delivery.payload import Payload
from stompconsole.delivery.runner import SubscriptionRunner
from stompconsole.delivery.sender import Senders
from stompconsole.delivery.specs import BrokerSpec, ConsumerSpec, consume_spec
from stompconsole.transport.session import Endpoint, Login

PREFETCH = 100
LIMIT_S = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Drain:
    """One queue to drain and how to reach it."""

    host: str
    port: int
    user: str
    password: str
    queue: str
    count: int

    def broker(self) -> BrokerSpec:
        return BrokerSpec(
            name="bench",
            endpoints=(Endpoint(host=self.host, port=self.port),),
            login=Login(user=self.user, password=self.password),
        )

    def headers(self) -> dict[str, str]:
        """Both brokers' prefetch headers: each ignores the other's."""
        return {"prefetch-count": str(PREFETCH), "activemq.prefetchSize": str(PREFETCH)}


def ours(drain: Drain) -> float:
    """The whole pipeline: session, inbox, one handler thread, JSON, settlement, tally."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "stompconsole.project.settings")
    django.setup()
    from stompconsole.metrics.tally import Tally

    done = threading.Event()
    handled = 0

    def handler(_: Payload) -> None:
        nonlocal handled
        handled += 1
        if handled == drain.count:
            done.set()

    consumer = ConsumerSpec(
        name="bench", broker=drain.broker(), destination=drain.queue, handler="bench", prefetch=PREFETCH
    )
    tally, senders = Tally(), Senders()
    work = HandlerWork(consumer, handler, senders, "bench", tally)
    runner = SubscriptionRunner(consume_spec(consumer), work, tally)
    started = time.perf_counter()
    runner.start()
    wait(done, lambda: handled, drain.count)
    runner.drain()
    if not runner.join(LIMIT_S):
        raise SystemExit("the runner did not end")
    return time.perf_counter() - started


class _Bare(stomp.ConnectionListener):
    """What a stomp.py user writes: json.loads and an ACK for each message."""

    def __init__(self, connection: stomp.StompConnection12, count: int) -> None:
        self.connection = connection
        self.left = count
        self.done = threading.Event()

    def on_message(self, frame: stomp.utils.Frame) -> None:
        json.loads(frame.body)
        self.connection.ack(frame.headers["ack"])
        self.left -= 1
        if self.left == 0:
            self.done.set()


def bare_stomp_py(drain: Drain) -> float:
    """stomp.py alone, with a listener that does the work."""
    connection = stomp.StompConnection12([(drain.host, drain.port)], vhost="/", auto_decode=False)
    listener = _Bare(connection, drain.count)
    connection.set_listener("bench", listener)
    started = time.perf_counter()
    connection.connect(drain.user, drain.password, wait=True)
    connection.subscribe(drain.queue, "1", "client-individual", drain.headers())
    wait(listener.done, lambda: drain.count - listener.left, drain.count)
    connection.disconnect(receipt="bye")
    return time.perf_counter() - started


def raw_socket(drain: Drain) -> float:
    """A socket and the least parsing that can tell one frame from the next: what the broker can give."""
    sock = socket.create_connection((drain.host, drain.port), 10)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    login = f"CONNECT\naccept-version:1.2\nhost:/\nlogin:{drain.user}\npasscode:{drain.password}\n\n\0"
    headers = "".join(f"{name}:{value}\n" for name, value in drain.headers().items())
    subscribe = f"SUBSCRIBE\nid:1\ndestination:{drain.queue}\nack:client-individual\n{headers}\n\0"
    started = time.perf_counter()
    sock.sendall((login + subscribe).encode())
    left, rest = drain.count, b""
    while left:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        *whole, rest = (rest + sock.recv(262_144)).split(b"\0")
        acks = [b"ACK\nid:" + _header(frame, b"\nack:") + b"\n\n\0" for frame in whole if b"MESSAGE\n" in frame[:16]]
        left -= len(acks)
        if acks:
            sock.sendall(b"".join(acks))
    sock.sendall(b"DISCONNECT\nreceipt:bye\n\n\0")
    while b"receipt-id:bye" not in rest:
        rest += sock.recv(65_536)
    return time.perf_counter() - started


def _header(frame: bytes, name: bytes) -> bytes:
    start = frame.index(name) + len(name)
    return frame[start : frame.index(b"\n", start)]


VARIANTS: dict[str, Callable[[Drain], float]] = {
    "stompconsole": ours,
    "stomp.py": bare_stomp_py,
    "raw-socket": raw_socket,
}


def preload(drain: Drain, body: bytes) -> None:
    """Put ``count`` persistent messages into the queue, each confirmed."""
    session = transport.connect(
        Endpoint(host=drain.host, port=drain.port), Login(user=drain.user, password=drain.password)
    )
    headers = {"destination": drain.queue, "persistent": "true", "content-type": "application/json"}
    headers["content-length"] = str(len(body))
    for start in range(0, drain.count, 1_000):
        sent = [session.request("SEND", headers, body) for _ in range(min(1_000, drain.count - start))]
        for receipt in sent:
            receipt.result(LIMIT_S)
    session.disconnect(5.0)


def wait(done: threading.Event, progress: Callable[[], int], count: int) -> None:
    """Wait for the last message under a limit that names how far it came."""
    if not done.wait(LIMIT_S):
        raise SystemExit(f"only {progress()} of {count} messages came in {LIMIT_S:g} s")


def main(arguments: list[str]) -> None:
    logging.disable(logging.CRITICAL)
    variant, host, port, user, password, queue, count = arguments
    drain = Drain(host=host, port=int(port), user=user, password=password, queue=queue, count=int(count))
    print(json.dumps({"seconds": VARIANTS[variant](drain)}))


if __name__ == "__main__":
    main(sys.argv[1:])

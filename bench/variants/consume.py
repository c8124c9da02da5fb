"""Drain a preloaded queue, ACK each message, end with a receipt; one variant per process.

``seconds`` go from CONNECT to the RECEIPT of DISCONNECT, which follows the last ACK on the wire.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import threading
import time
from collections.abc import Callable

import django
import stomp

from bench.workload import LIMIT_S, PREFETCH, Workload, run, wait
from stompconsole.delivery.handling import HandlerWork
from stompconsole.delivery.payload import Payload
from stompconsole.delivery.runner import SubscriptionRunner
from stompconsole.delivery.senders import Senders
from stompconsole.delivery.specs import ConsumerSpec, consume_spec


def ours(work: Workload) -> float:
    """The whole pipeline: session, inbox, one handler thread, JSON, settlement, tally."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "stompconsole.project.settings")
    django.setup()
    from stompconsole.metrics.tally import Tally

    done = threading.Event()
    handled = 0

    def handler(_: Payload) -> None:
        nonlocal handled
        handled += 1
        if handled == work.count:
            done.set()

    consumer = ConsumerSpec(
        name="bench", broker=work.broker(), destination=work.queue, handler="bench", prefetch=PREFETCH
    )
    tally, senders = Tally(), Senders()
    handling = HandlerWork(consumer, handler, senders, "bench", tally)
    runner = SubscriptionRunner(consume_spec(consumer), handling, tally)
    started = time.perf_counter()
    runner.start()
    wait(done, lambda: handled, work.count)
    runner.drain()
    if not runner.join(LIMIT_S):
        raise SystemExit("the runner did not end")
    return time.perf_counter() - started


class _Bare(stomp.ConnectionListener):
    """What a stomp.py user writes: json.loads and an ACK for each message."""

    def __init__(self, connection: stomp.StompConnection12, count: int) -> None:
        self.connection = connection
        self.left = count
        self.server = ""
        self.done = threading.Event()

    def on_connected(self, frame: stomp.utils.Frame) -> None:
        self.server = frame.headers.get("server", "")

    def on_message(self, frame: stomp.utils.Frame) -> None:
        json.loads(frame.body)
        self.connection.ack(frame.headers["ack"])
        self.left -= 1
        if self.left == 0:
            self.done.set()


def bare_stomp_py(work: Workload) -> float:
    """stomp.py alone, with a listener that does the work."""
    connection = stomp.StompConnection12([(work.host, work.port)], vhost="/", auto_decode=False)
    listener = _Bare(connection, work.count)
    connection.set_listener("bench", listener)
    started = time.perf_counter()
    connection.connect(work.user, work.password, wait=True)
    connection.subscribe(work.queue, "1", "client-individual", work.subscribe_headers(listener.server))
    wait(listener.done, lambda: work.count - listener.left, work.count)
    connection.disconnect(receipt="bye")
    return time.perf_counter() - started


def raw_socket(work: Workload) -> float:
    """A socket and the least parsing that can tell one frame from the next: what the broker can give."""
    sock = socket.create_connection((work.host, work.port), 10)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    login = f"CONNECT\naccept-version:1.2\nhost:/\nlogin:{work.user}\npasscode:{work.password}\n\n\0"
    started = time.perf_counter()
    sock.sendall(login.encode())
    greeting = sock.recv(4_096)
    server = _header(greeting, b"\nserver:").decode()
    headers = "".join(f"{name}:{value}\n" for name, value in work.subscribe_headers(server).items())
    sock.sendall(f"SUBSCRIBE\nid:1\ndestination:{work.queue}\nack:client-individual\n{headers}\n\0".encode())
    left, rest = work.count, b""
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


VARIANTS: dict[str, Callable[[Workload], float]] = {
    "stompconsole": ours,
    "stomp.py": bare_stomp_py,
    "raw-socket": raw_socket,
}


if __name__ == "__main__":
    run(VARIANTS, sys.argv[1:])

"""Move a preloaded queue to another one: SEND with a receipt, then ACK; one variant per process.

``seconds`` are those of the whole process, its start included: that is what a person at a shell waits for.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import stomp

from bench.workload import LIMIT_S, Workload, run, wait

MANAGE = Path(__file__).resolve().parents[2] / "manage.py"


def ours(work: Workload) -> float:
    """``manage.py move_messages --limit``."""
    command = [sys.executable, str(MANAGE), "move_messages", work.queue, work.target, "--limit", str(work.count)]
    started = time.perf_counter()
    subprocess.run(
        command, env={**os.environ, **work.environment()}, check=True, timeout=LIMIT_S, stdout=subprocess.DEVNULL
    )
    return time.perf_counter() - started


class _Mover(stomp.ConnectionListener):
    """Sends what comes on another connection, and ACKs it there when its receipt is here."""

    def __init__(self, source: stomp.StompConnection12, target: stomp.StompConnection12, work: Workload) -> None:
        self.source = source
        self.target = target
        self.work = work
        self.server = ""
        self.left = work.count
        self.done = threading.Event()

    def on_connected(self, frame: stomp.utils.Frame) -> None:
        self.server = frame.headers.get("server", "")

    def on_message(self, frame: stomp.utils.Frame) -> None:
        headers = dict(self.work.send_headers(self.server))
        self.target.send(self.work.target, frame.body, headers=headers, receipt=frame.headers["ack"])

    def on_receipt(self, frame: stomp.utils.Frame) -> None:
        self.source.ack(frame.headers["receipt-id"])
        self.left -= 1
        if not self.left:
            self.done.set()


class _Confirmed(stomp.ConnectionListener):
    """Hands receipts of the target's connection on."""

    def __init__(self, mover: _Mover) -> None:
        self.mover = mover

    def on_receipt(self, frame: stomp.utils.Frame) -> None:
        self.mover.on_receipt(frame)


def bare_stomp_py(work: Workload) -> float:
    """What a careful stomp.py user writes: two connections, as many in flight as the broker hands out."""
    started = time.perf_counter()
    source, target = (
        stomp.StompConnection12([(work.host, work.port)], vhost="/", auto_decode=False, auto_content_length=False)
        for _ in range(2)
    )
    mover = _Mover(source, target, work)
    source.set_listener("bench", mover)
    target.set_listener("bench", _Confirmed(mover))
    for connection in (target, source):
        connection.connect(work.user, work.password, wait=True)
    source.subscribe(work.queue, "1", "client-individual", work.subscribe_headers(mover.server))
    wait(mover.done, lambda: work.count - mover.left, work.count)
    source.disconnect(receipt="bye")
    target.disconnect()
    return time.perf_counter() - started


VARIANTS: dict[str, Callable[[Workload], float]] = {"stompconsole": ours, "stomp.py": bare_stomp_py}

if __name__ == "__main__":
    run(VARIANTS, sys.argv[1:])

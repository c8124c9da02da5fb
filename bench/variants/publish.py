"""Publish messages one call at a time, each confirmed by a receipt; one variant per process.

``seconds`` go from the first call to the last receipt, connecting included.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import django
import stomp

from bench.workload import BODY, Workload, run, wait


def ours(work: Workload) -> float:
    """``publish()`` inside one database transaction: the receipts are waited for together, at its commit."""
    publish, transaction = _publishing(work)
    body = json.loads(BODY)
    started = time.perf_counter()
    with transaction.atomic():
        for _ in range(work.count):
            publish(work.queue, body)
    return time.perf_counter() - started


def ours_one_by_one(work: Workload) -> float:
    """``publish()`` without a transaction: each call waits for its receipt."""
    publish, _ = _publishing(work)
    body = json.loads(BODY)
    started = time.perf_counter()
    for _ in range(work.count):
        publish(work.queue, body)
    return time.perf_counter() - started


def _publishing(work: Workload) -> tuple[Callable[..., None], Any]:
    os.environ.update(work.environment())
    os.environ["DATABASE_URL"] = "sqlite://:memory:"
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "stompconsole.project.settings")
    django.setup()
    from django.core.management import call_command
    from django.db import transaction

    from stompconsole.publishing import publish

    call_command("migrate", verbosity=0)
    return publish, transaction


class _Receipts(stomp.ConnectionListener):
    """Counts receipts."""

    def __init__(self, count: int) -> None:
        self.left = count
        self.server = ""
        self.done = threading.Event()

    def on_connected(self, frame: stomp.utils.Frame) -> None:
        self.server = frame.headers.get("server", "")

    def on_receipt(self, _frame: stomp.utils.Frame) -> None:
        self.left -= 1
        if not self.left:
            self.done.set()


def bare_stomp_py(work: Workload) -> float:
    """stomp.py alone, all SENDs written before any receipt is looked at."""
    connection = stomp.StompConnection12([(work.host, work.port)], vhost="/", auto_content_length=False)
    receipts = _Receipts(work.count)
    connection.set_listener("bench", receipts)
    body = json.loads(BODY)
    started = time.perf_counter()
    connection.connect(work.user, work.password, wait=True)
    headers = dict(work.send_headers(receipts.server))
    for number in range(work.count):
        connection.send(work.queue, json.dumps(body).encode(), receipt=str(number), headers=headers)
    wait(receipts.done, lambda: work.count - receipts.left, work.count)
    seconds = time.perf_counter() - started
    connection.disconnect()
    return seconds


VARIANTS: dict[str, Callable[[Workload], float]] = {
    "stompconsole": ours,
    "one-by-one": ours_one_by_one,
    "stomp.py": bare_stomp_py,
}

if __name__ == "__main__":
    run(VARIANTS, sys.argv[1:])

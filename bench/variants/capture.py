"""Capture a preloaded dead-letter queue into rows: one subscription, as a worker runs it; one database per process.

``seconds`` go from the start of the subscription to its orderly end: every row is committed, every message ACKed.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from bench import dead
from bench.databases import DATABASES
from bench.django_setup import set_up
from bench.workload import LIMIT_S, Workload, run, wait

if TYPE_CHECKING:
    from stompconsole.brokers import Dialect
    from stompconsole.delivery.pipeline import Work
    from stompconsole.delivery.settlement import Delivery


class _Counted:
    """The work of a capture, counted."""

    def __init__(self, work: Work, count: int) -> None:
        self.work = work
        self.left = count
        self.done = threading.Event()

    @property
    def trouble(self) -> str:
        return self.work.trouble

    def process(self, batch: Sequence[Delivery], dialect: Dialect) -> None:
        self.work.process(batch, dialect)
        self.left -= len(batch)
        if not self.left:
            self.done.set()

    def close(self) -> None:
        self.work.close()


def into_rows(work: Workload) -> float:
    """Session, inbox, one thread that stores batches, ACKs."""
    set_up()
    from stompconsole.deadletters.capture import capture_work
    from stompconsole.delivery.observer import SilentObserver
    from stompconsole.delivery.runner import SubscriptionRunner
    from stompconsole.delivery.specs import capture_spec
    from stompconsole.models import DeadLetter

    consumer = dead.consumer(work)
    counted = _Counted(capture_work(consumer.pk, consumer.name, work.queue), work.count)
    runner = SubscriptionRunner(capture_spec(consumer.spec()), counted, SilentObserver())
    started = time.perf_counter()
    runner.start()
    wait(counted.done, lambda: work.count - counted.left, work.count)
    runner.drain()
    if not runner.join(LIMIT_S):
        raise SystemExit("the runner did not end")
    seconds = time.perf_counter() - started
    if (stored := DeadLetter.objects.count()) != work.count:
        raise SystemExit(f"{stored} of {work.count} are stored")
    return seconds


VARIANTS = dict.fromkeys(DATABASES, into_rows)

if __name__ == "__main__":
    run(VARIANTS, sys.argv[1:])

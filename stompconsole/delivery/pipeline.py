"""The inbox and the handler threads of a subscription. They outlive sessions, so that their number holds.

A delivery whose session has ended is skipped: the broker gives it again on the next one.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Sequence
from itertools import groupby
from operator import attrgetter
from typing import Protocol

from stompconsole.brokers import Dialect
from stompconsole.delivery.settlement import Delivery, Settlement
from stompconsole.errors import WorkFailed

logger = logging.getLogger(__name__)

_settlement_of = attrgetter("settlement")


class Work(Protocol):
    """What is done with messages; its ``process`` runs on several threads at once."""

    @property
    def trouble(self) -> str:
        """What stands in its way while it goes on all the same, in words; empty when all is well."""

    def process(self, batch: Sequence[Delivery], dialect: Dialect) -> None:
        """Settle each delivery, now or later. WorkFailed gives all of them back to the broker."""

    def close(self) -> None:
        """Called on each thread when it ends."""


class Pipeline:
    """An inbox of at most ``prefetch`` deliveries, as the broker keeps to it, and the threads that empty it."""

    def __init__(self, name: str, work: Work, *, threads: int, batch: int) -> None:
        self.dialect = Dialect()
        self._work = work
        self._batch = batch
        self._inbox: queue.SimpleQueue[Delivery | None] = queue.SimpleQueue()
        # Held from getting messages until they are in work, so that they get there in the order of arrival: what a
        # cumulative ACK covers has then all been in work before what it names.
        self._turn = threading.Lock()
        self._threads = [
            threading.Thread(target=self._run, name=f"{name} handler {number}", daemon=True)
            for number in range(1, threads + 1)
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def put(self, delivery: Delivery) -> None:
        """Queue a delivery; from any thread."""
        self._inbox.put(delivery)

    def empty(self) -> None:
        """Drop what no thread has taken yet: un-acked, it goes back to the broker."""
        try:
            while True:
                self._inbox.get_nowait()
        except queue.Empty:
            return

    def stop(self, timeout_s: float) -> bool:
        """End the threads after what they have in hand; false if a handler took longer."""
        self.empty()
        for _ in self._threads:
            self._inbox.put(None)
        deadline = time.monotonic() + timeout_s
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        return not any(thread.is_alive() for thread in self._threads)

    def _run(self) -> None:
        try:
            while (taken := self._take()) is not None:
                for settlement, batch in taken:
                    self._process(settlement, batch)
        finally:
            self._work.close()

    def _take(self) -> list[tuple[Settlement, list[Delivery]]] | None:
        """What is done next, by settlement: while a handler was busy a session may have ended and another begun."""
        with self._turn:
            first = self._inbox.get()
            if first is None:
                return None
            batches = groupby(self._fill(first), key=_settlement_of)
            return [(settlement, settlement.take(list(batch))) for settlement, batch in batches]

    def _fill(self, first: Delivery) -> list[Delivery]:
        batch = [first]
        try:
            while len(batch) < self._batch:
                delivery = self._inbox.get_nowait()
                if delivery is None:
                    self._inbox.put(None)
                    break
                batch.append(delivery)
        except queue.Empty:
            pass
        return batch

    def _process(self, settlement: Settlement, taken: Sequence[Delivery]) -> None:
        if not taken:
            return
        try:
            self._work.process(taken, self.dialect)
        except WorkFailed as error:
            settlement.give_back(taken, str(error))
        except Exception as error:  # a bug of ours must end this session, not this thread
            logger.exception("processing %d messages of %s failed", len(taken), settlement.destination)
            settlement.fail(f"internal error: {error!r}")
        if self._inbox.empty():
            settlement.flush()

"""Taking messages out of a destination for good: how many may be, how many have been, and the work that ACKs them.

Owns the count. Refuses to decide when to stop: who fulfils a quota is told so, and who watches decides.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from stompconsole.brokers import Dialect
from stompconsole.delivery.settlement import Delivery


class Quota:
    """How many messages may be taken out, and how many have been. Thread-safe.

    Each is reserved before anything is done with it, so that never one more than ``limit`` is taken; ``limit`` None is
    no limit. ``fulfilled`` is called once, when the last of them has been taken.
    """

    def __init__(self, limit: int | None, fulfilled: Callable[[], None]) -> None:
        self._limit = limit
        self._fulfilled = fulfilled
        self._lock = threading.Lock()
        self._reserved = 0
        self._taken = 0
        self._repeated = 0

    @property
    def taken(self) -> int:
        """Messages that are done and ACKed."""
        return self._taken

    @property
    def repeated(self) -> int:
        """Messages that were done, but whose session ended before their ACK: the broker gives them again."""
        return self._repeated

    @property
    def is_fulfilled(self) -> bool:
        return self._taken == self._limit

    def reserve(self, delivery: Delivery) -> bool:
        """Whether this delivery may be taken; if not, it leaves work as it came."""
        with self._lock:
            allowed = delivery.wanted and self._reserved != self._limit
            self._reserved += allowed
        if not allowed:
            delivery.settlement.leave(delivery)
        return allowed

    def give_back(self, delivery: Delivery) -> None:
        """A delivery that was reserved leaves work as it came."""
        with self._lock:
            self._reserved -= 1
        delivery.settlement.leave(delivery)

    def take(self, delivery: Delivery) -> None:
        """ACK what is done. If its session has ended, it does not count: it comes again."""
        acked = delivery.ack()
        with self._lock:
            self._reserved -= not acked
            self._taken += acked
            self._repeated += not acked
            last = acked and self.is_fulfilled
        if last:
            self._fulfilled()


class AckWork:
    """ACKs what comes and does nothing else with it. See ``pipeline.Work``."""

    trouble = failure = remark = ""

    def __init__(self, quota: Quota) -> None:
        self._quota = quota

    def process(self, batch: Sequence[Delivery], dialect: Dialect) -> None:
        for delivery in batch:
            if self._quota.reserve(delivery):
                self._quota.take(delivery)

    def stop(self) -> None:
        return

    def close(self) -> None:
        return

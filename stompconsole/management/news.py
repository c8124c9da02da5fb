"""What the threads of a subscription have to tell the command that holds it, and what wakes the command up."""

from __future__ import annotations

import queue
from collections.abc import Iterator
from dataclasses import dataclass

from stompconsole.delivery.observer import SilentObserver, Switch
from stompconsole.delivery.specs import SubscriptionState


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """The subscription is in another state, and why, in words."""

    state: SubscriptionState
    reason: str


class News(SilentObserver):
    """Put in by any thread, taken out by the command's. An observer of subscriptions and of brokers."""

    def __init__(self) -> None:
        # A SimpleQueue and no Event: a signal handler may call put() whatever the main thread is in the middle of.
        self._queue: queue.SimpleQueue[Change | Switch | None] = queue.SimpleQueue()

    def wake(self) -> None:
        """Have the command look around now. From any thread and from a signal handler."""
        self._queue.put(None)

    def changed(self, state: SubscriptionState, reason: str) -> None:
        self._queue.put(Change(state=state, reason=reason))

    def switched(self, switch: Switch) -> None:
        self._queue.put(switch)

    def wait(self, timeout_s: float) -> Iterator[Change | Switch]:
        """Wait until there is something, at most that many seconds; then all there is."""
        try:
            item = self._queue.get(timeout=timeout_s)  # 0 only looks
            while True:
                if item is not None:
                    yield item
                item = self._queue.get_nowait()
        except queue.Empty:
            return

"""What a subscription tells of itself: counts by the batch, outcomes of replays, changes of state."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from stompconsole.delivery.specs import SubscriptionState


class Observer(Protocol):
    """Told by the threads of a subscription; must be quick, thread-safe and never raise."""

    def received(self, count: int) -> None:
        """``count`` messages were taken from the inbox."""

    def handled(self, *, acked: int, retried: int, dead_lettered: int, seconds: Sequence[float]) -> None:
        """Outcomes of a batch, and how long each handler call took, in seconds."""

    def replayed(self, dead_letter_id: str, replay_id: str) -> None:
        """A replayed message was handled well and its ACK has been written."""

    def changed(self, state: SubscriptionState, reason: str) -> None:
        """The subscription is in another state now, and why, in words (empty when all is well)."""


class SilentObserver:
    """Hears nothing: for the foreground commands and for tests."""

    def received(self, count: int) -> None:
        return

    def handled(self, *, acked: int, retried: int, dead_lettered: int, seconds: Sequence[float]) -> None:
        return

    def replayed(self, dead_letter_id: str, replay_id: str) -> None:
        return

    def changed(self, state: SubscriptionState, reason: str) -> None:
        return

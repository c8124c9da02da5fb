"""What subscriptions tell: of themselves counts, outcomes, changes of state; of their broker, where they found it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from stompconsole.delivery.specs import SubscriptionState
from stompconsole.transport.session import Endpoint


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Switch:
    """A broker's sessions are opened at another of its endpoints now, and why."""

    broker: str
    was: Endpoint
    now: Endpoint
    reason: str

    def __str__(self) -> str:
        return f"{self.now} in place of {self.was}, because {self.reason}"


class SwitchObserver(Protocol):
    """Told by whichever thread opened the session; must be quick, thread-safe and never raise."""

    def switched(self, switch: Switch) -> None:
        """Once for each switch, however many subscriptions make it."""

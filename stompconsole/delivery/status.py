"""What a runner is doing now, as whoever runs it sees it."""

from __future__ import annotations

from dataclasses import dataclass

from stompconsole.delivery.specs import SubscriptionState


@dataclass(frozen=True, slots=True, kw_only=True)
class RunnerStatus:
    """What a runner is doing now. ``in_flight`` counts messages handed to us and not settled; ``refusals`` how often
    in a row the broker has refused the login or the subscription, rather than not been there."""

    state: SubscriptionState
    reason: str = ""
    endpoint: str = ""
    server: str = ""
    in_flight: int = 0
    refusals: int = 0


def joined(*reasons: str) -> str:
    """Reasons that hold at once, in one line; empty ones left out."""
    return "; ".join(filter(None, reasons))

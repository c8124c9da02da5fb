"""A little traffic: mostly good messages, some that fail once, a few that always fail."""

from __future__ import annotations

import itertools
import random
from typing import Any

from stompconsole.publishing import publish_many

STEP_S = 0.25
"""Seconds between two steps."""


class Traffic:
    """Messages for the demo's consumers through one broker, a handful each step, in slow waves."""

    def __init__(self, broker: str) -> None:
        self._broker = broker
        self._numbers = itertools.count(1)
        self._random = random.Random(4711)  # noqa: S311 - a demo looks the same each time

    def step(self) -> None:
        """Send one step's messages. Raises BrokerError when the broker does not take them."""
        wave = 1.0 + 0.6 * self._random.random()
        for destination, bodies in {
            "/queue/demo.orders": [self._order() for _ in range(round(6 * wave))],
            "/queue/demo.payments": [self._payment() for _ in range(round(3 * wave))],
            "/queue/demo.mail": [self._mail() for _ in range(round(10 * wave))],
        }.items():
            publish_many(destination, bodies, broker=self._broker)

    def _order(self) -> dict[str, Any]:
        number, fails = next(self._numbers), self._fails(0.01)
        # What fails has something of its own to be found on the page of its group: it comes from a shop that leaves
        # out the sku. So does the ledger that does not answer, and the address that is none.
        sku = {} if fails else {"sku": f"A-{number % 90:02}"}
        return {
            "order": 90_000 + number,
            "shop": "market" if fails else self._random.choice(("web", "web", "app", "market")),
            **sku,
            "quantity": 1 + number % 3,
            "fails": fails,
            "seconds": self._random.uniform(0.001, 0.02),
        }

    def _payment(self) -> dict[str, Any]:
        number, fails = next(self._numbers), self._fails(0.01)
        amount = f"{self._random.uniform(5, 400):.2f}"
        return {
            "payment": number,
            "amount": amount,
            "ledger": "north" if fails else self._random.choice(("north", "south", "south", "west", "west")),
            "fails": fails,
            "seconds": self._random.uniform(0.01, 0.2),
        }

    def _mail(self) -> dict[str, Any]:
        number = next(self._numbers)
        fails = self._fails(0.004)
        address = "nobody" if fails else f"reader{number % 500}@example.org"
        return {"mail": number, "to": address, "subject": "Your order is on its way", "fails": fails}

    def _fails(self, share: float) -> int:
        if self._random.random() >= share:
            return 0
        return -1 if self._random.random() < 0.1 else 1

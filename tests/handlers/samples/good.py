"""Functions that paths may name."""

from __future__ import annotations

from os import system
from typing import Any

from stompconsole.handlers import handler

__all__ = ["system"]

LIMIT = 3


@handler(name="Price of an order")
def price_of(payload: Any) -> None:
    """Prices an order.

    At length.
    """


@handler
async def later(payload: Any) -> None:
    pass


def unregistered(payload: Any) -> None:
    pass

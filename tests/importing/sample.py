"""Handlers as a team on django-stomp has them: plain functions that nobody has registered."""

from __future__ import annotations

from typing import Any


def price_of(payload: Any) -> None:
    """Prices an order."""


def total_of(payload: Any) -> None:
    """Adds up."""


not_callable = "x"

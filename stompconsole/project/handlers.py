"""Sample handlers for the demo. Whether a message fails stands in the message, so what one sees is explained by it.

``fails`` is how often a message is to fail: 1 fails the first time and passes when it is replayed, -1 fails for
ever. ``seconds`` is how long the handler takes.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any

from stompconsole.delivery.envelope import REPLAY_ID
from stompconsole.handlers import handler

if TYPE_CHECKING:
    from stompconsole.delivery.payload import Payload

logger = logging.getLogger(__name__)

LONGEST_S = 5.0


@handler
def orders(payload: Payload) -> None:
    """Prices an order; a broken one has no sku."""
    order = payload.body
    _take(order)
    if _fails(payload):
        order = {key: value for key, value in order.items() if key != "sku"}
    elif order.get("fails"):
        # It is replayed: by now the catalogue knows what was meant.
        order = {"sku": "found by its number", **order}
    logger.debug("priced %s", order["sku"])


@handler
def payments(payload: Payload) -> None:
    """Books a payment; at times the ledger does not answer."""
    _take(payload.body)
    if _fails(payload):
        raise TimeoutError("POST ledger: no answer within 2 s")


@handler
def mail(payload: Payload) -> None:
    """Sends a mail; quick, and fails for an address that is none."""
    _take(payload.body)
    if _fails(payload):
        raise ValueError(f"not an address: {payload.body.get('to', '')!r}")


def _take(body: dict[str, Any]) -> None:
    seconds = min(float(body.get("seconds", 0)), LONGEST_S)
    if seconds > 0:
        time.sleep(seconds)


def _fails(payload: Payload) -> bool:
    match payload.body.get("fails", 0):
        case 0:
            return False
        case 1:
            # Only the replay header tells the second time from the first: nothing is remembered here.
            return REPLAY_ID not in payload.headers
        case _:
            return True

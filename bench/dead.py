"""Dead letters to measure with: as they lie in a broker's queue, and the rows that own them."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from bench.workload import LIMIT_S, WINDOW, Workload
from stompconsole.delivery.envelope import Envelope

if TYPE_CHECKING:
    from stompconsole.models import Consumer

NAME = "bench"
ERRORS = 20
"""Failure groups they fall into."""

BODY = json.dumps({"order": 99_120, "lines": [{"sku": "A-17", "quantity": 2}], "note": "x" * 936}).encode()
"""1 KB."""

TRACEBACK = """Traceback (most recent call last):
  File "/usr/lib/python3/site-packages/stompconsole/delivery/handling.py", line 181, in _call
    result = self._handler(payload)
  File "/srv/shop/orders/handlers.py", line 42, in price_of
    return sum(line["price"] * line["quantity"] for line in order["lines"])
  File "/srv/shop/orders/handlers.py", line 42, in <genexpr>
    return sum(line["price"] * line["quantity"] for line in order["lines"])
KeyError: 'price'
"""


def headers(number: int, origin: str) -> dict[str, str]:
    """What a dead letter of ours carries, its team's headers included."""
    now = datetime.now(UTC)
    told = Envelope(
        dead_letter_id=str(uuid.uuid4()),
        failure_id=str(uuid.uuid4()),
        consumer=NAME,
        handler="orders.handlers.price_of",
        origin=origin,
        error_type=f"orders.errors.Error{chr(65 + number % ERRORS)}",
        error_message=f"line {number} of order {number * 7} has no price",
        traceback=TRACEBACK,
        attempts=3,
        first_failed_at=now,
        failed_at=now,
        worker="web-1:4121",
        message_id=f"T_1@@session-{number}",
    )
    return {"correlation-id": str(uuid.uuid4()), "content-type": "application/json", "tenant": "blue", **told.headers()}


def preload(work: Workload) -> None:
    """Put ``count`` dead letters into the queue, each confirmed."""
    session = work.connect()
    for start in range(0, work.count, WINDOW):
        sent = [
            session.request(
                "SEND",
                {
                    "destination": work.queue,
                    **work.send_headers(session.server),
                    **headers(number, work.target),
                    "content-length": str(len(BODY)),
                },
                BODY,
            )
            for number in range(start, min(work.count, start + WINDOW))
        ]
        for receipt in sent:
            receipt.result(LIMIT_S)
    session.disconnect(5.0)


def consumer(work: Workload) -> Consumer:
    """The row whose dead letters they are: it consumes ``target`` and captures ``queue``."""
    from stompconsole.models import Broker, Consumer

    broker = Broker.objects.create(name=NAME, host=work.host, port=work.port, user=work.user, password=work.password)
    row = Consumer(
        name=NAME,
        broker=broker,
        destination=work.target,
        dead_letter_destination=work.queue,
        handler="orders.handlers.price_of",
    )
    row.save()
    return row

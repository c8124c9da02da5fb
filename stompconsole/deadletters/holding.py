"""Bodies kept out of the database: a dead letter's message waits in a holding queue of its broker.

Owns the order that loses nothing: the message is in the holding queue, confirmed, before its row is committed, and only
then ACKed in the dead-letter queue. A crash in between leaves a second copy, which names the same death.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, wait
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import replace
from datetime import UTC, datetime

from stompconsole.brokers import Dialect
from stompconsole.deadletters import json_spans, quoting, storable
from stompconsole.deadletters.captured import Captured, unquoted, unquoted_headers
from stompconsole.deadletters.quoting import Quotes
from stompconsole.deadletters.redacting import LARGEST, Parts
from stompconsole.delivery import envelope
from stompconsole.delivery.senders import Senders
from stompconsole.delivery.settlement import Delivery
from stompconsole.delivery.specs import BrokerSpec, holding_destination
from stompconsole.errors import ReceiptTimeout, StompConsoleError, WorkFailed
from stompconsole.models import DeadLetter

logger = logging.getLogger(__name__)

RECEIPT_GRACE_S = 5.0
"""The sender says when a receipt is late; this much later we stop waiting for it to say so."""

LATE_LOOK_S = 0.2
LONGEST_LATE_S = 120.0
"""How long a late receipt is waited for before the messages go back: sent again they would be there twice."""

_NOT_WHILE_HELD = ("priority", "expires")
"""A queue that is gone through must keep its order, and nothing in it may end by itself. Its row has them."""

_READ = 64 * 1024
"""Characters of a body that errors are searched for."""


class Holder:
    """Keeps the messages of one dead-letter queue in its holding queue."""

    def __init__(self, senders: Senders, broker: BrokerSpec, dead_letters: str) -> None:
        self.destination = holding_destination(dead_letters)
        self.trouble = ""
        self._broker = broker
        self._sender = senders.of(broker)

    def hold(self, kept: Sequence[tuple[Delivery, Captured]], source: Dialect) -> None:
        """Have a copy of each in the holding queue, confirmed. Raises WorkFailed when it can't be."""
        try:
            target = self._sender.dialect()
            sent = [
                self._sender.send(self.destination, self._headers(delivery, message, source, target), delivery.body)
                for delivery, message in kept
            ]
            confirmed(sent, self._broker, lambda: all(delivery.wanted for delivery, _ in kept), self._tell)
        except StompConsoleError as error:
            raise WorkFailed(
                f"dead letters can't be kept in {self.destination}, they stay where they are: {error}"
            ) from error
        finally:
            self.trouble = ""

    def _tell(self, trouble: str) -> None:
        self.trouble = f"dead letters can't be kept in {self.destination}: {trouble}"

    def _headers(self, delivery: Delivery, message: Captured, source: Dialect, target: Dialect) -> dict[str, str]:
        names = {
            envelope.DEAD_LETTER_ID: str(message.dead_letter_id),
            envelope.HELD_COPY: str(message.failure_id),
            envelope.HELD_AT: datetime.now(UTC).isoformat(),
        }
        return copied(
            delivery,
            source,
            target,
            destination=self.destination,
            names=names,
            duplicate_id=f"held-{message.failure_id}",
        )


def copied(
    delivery: Delivery,
    source: Dialect,
    target: Dialect,
    *,
    destination: str,
    names: dict[str, str],
    duplicate_id: str,
) -> dict[str, str]:
    """The headers of a message that is sent to a holding queue."""
    headers = {**source.resend_headers(delivery.headers), **names, **target.send_headers(destination)}
    for name in _NOT_WHILE_HELD:
        headers.pop(name, None)
    if "content-length" in delivery.headers:
        # Mirrored: its presence tells a Java receiver bytes from text. The sender gives it its value.
        headers["content-length"] = ""
    if target.duplicate_id_header:
        headers[target.duplicate_id_header] = duplicate_id
    return headers


def confirmed(
    sent: Iterable[Future[None]], broker: BrokerSpec, wanted: Callable[[], bool], tell: Callable[[str], None]
) -> None:
    """Wait for all receipts, late ones too while they are ``wanted``. Raises the first error."""
    errors = [_outcome(each, broker.receipt_timeout_s + RECEIPT_GRACE_S, wanted, tell) for each in sent]
    for error in errors:
        if error is not None:
            raise error


def _outcome(
    sent: Future[None], limit_s: float, wanted: Callable[[], bool], tell: Callable[[str], None]
) -> StompConsoleError | None:
    error = _error_of(sent, limit_s)
    looks = int(LONGEST_LATE_S / LATE_LOOK_S)
    while isinstance(error, ReceiptTimeout) and error.outcome is not None and looks and wanted():
        tell(str(error))
        looks -= 1
        if not wait([error.outcome], LATE_LOOK_S).not_done:
            error = _error_of(error.outcome, 0.0)
    return error


def _error_of(sent: Future[None], limit_s: float) -> StompConsoleError | None:
    try:
        error = sent.exception(limit_s)
    except FutureTimeout:
        return ReceiptTimeout("the broker does not confirm it")
    if error is not None and not isinstance(error, StompConsoleError):
        raise error
    return error


def without_body(message: Captured, body: bytes, held: str, held_on: int | None) -> Captured:
    """The message as its row is to be: nothing of the body, nor of what it says in errors, as far as it is found."""
    quotes = Quotes(_sayings(body))
    death = unquoted(message.death, quotes)
    correlation_id = message.headers.get("correlation-id", "")[:255]
    words = (death.error_type, death.error_message, correlation_id, message.message_id)
    return replace(
        message,
        headers=unquoted_headers(message.headers, quotes),
        body=b"",
        parts=Parts(headers=message.parts.headers),
        document=None,
        search_text=storable.search_text(b"", 0, *words),
        death=death,
        held=held,
        held_on=held_on,
    )


def _sayings(body: bytes) -> Iterable[str]:
    text = body[:_READ].decode(errors="replace")
    yield from quoting.told_apart_roughly(text)
    try:
        found = json.loads(body, parse_int=str, parse_float=str) if len(body) <= LARGEST else None
        yield from filter(quoting.says_much, json_spans.leaves(found))
    except (ValueError, RecursionError):
        return


def where(letter: DeadLetter) -> str:
    """Where the message of a dead letter without a body waits, as a sentence; empty for one with a body."""
    if not letter.held:
        return ""
    broker = f" on broker {letter.held_on.name}" if letter.held_on is not None else ""
    return (
        'Its body is not stored (STOMPCONSOLE["STORE_BODIES"], or its consumer):'
        f" the message waits in {letter.held}{broker}."
    )

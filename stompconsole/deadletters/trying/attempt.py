"""One attempt, in a process that ends after it: read the dead letter, call its handler, say what came of it.

The handler gets what a replay would give it. ``ack()`` and ``nack()`` only note that they were called; what is
published is counted and not sent; what is written to Django's databases is never committed.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from asgiref.sync import sync_to_async
from django.db import DatabaseError, connections

from stompconsole import correlation, handlers
from stompconsole.conf import settings_now
from stompconsole.deadletters import holding, sealing
from stompconsole.deadletters.trying import uncommitted
from stompconsole.deadletters.trying.verdict import Verdict, failed, skipped
from stompconsole.delivery import codecs, envelope
from stompconsole.delivery.codecs import UnreadableBody
from stompconsole.delivery.disposition import Failure, failure_of
from stompconsole.delivery.handling import NACKED
from stompconsole.delivery.payload import Handler, Payload
from stompconsole.delivery.specs import Codec
from stompconsole.errors import ConfigurationError, HandlerNotFound
from stompconsole.models import TrialItem, TrialItemState
from stompconsole.publishing import withholding

CONSUMER_DELETED = "Its consumer has been deleted: which handler to call is not known."
GONE = "The dead letter has been deleted meanwhile."
OF_THE_TRANSACTION = (
    "This may come of the transaction around the trial, and not happen otherwise: inside of one a connection that is"
    " closed is not opened again, a database error that is caught spoils what follows, and nothing commits by hand."
)
_TRANSACTION_ERRORS = ("TransactionManagementError", "InFailedSqlTransaction")
_CLOSED = "Cannot open a new connection in an atomic block"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Message:
    """A dead letter as its handler would get it."""

    consumer: str
    handler: str
    codec: Codec
    correlation_id_required: bool
    headers: dict[str, str]
    body: bytes


class _ByHand:
    """``payload.ack`` and ``payload.nack``: the first one called counts."""

    def __init__(self) -> None:
        self.chosen = ""

    def ack(self) -> None:
        self.chosen = self.chosen or "ack"

    def nack(self) -> None:
        self.chosen = self.chosen or "nack"


def attempt(item_id: int, begun: Callable[[], None]) -> Verdict:
    """Try the dead letter of an item; ``begun`` is called when its handler is about to be. Spoils this process."""
    try:
        message = _read(item_id)
    except DatabaseError as error:
        return skipped(f"The dead letter could not be read: {error}")
    if isinstance(message, str):
        return skipped(message)
    uncommitted.never_commit()
    withholding.withhold()
    _log_to_output()
    begun()
    verdict = _tried(message)
    if reasons := uncommitted.refusals():
        return replace(verdict, state=TrialItemState.SKIPPED, notes=(*reasons, *verdict.notes))
    return verdict


def _read(item_id: int) -> _Message | str:
    """The message, or why there is none to try."""
    item = TrialItem.objects.select_related("dead_letter__consumer__broker").filter(pk=item_id).first()
    if item is None:
        return GONE
    letter, consumer = item.dead_letter, item.dead_letter.consumer
    if consumer is None:
        return CONSUMER_DELETED
    if letter.held:
        return holding.where(letter)
    try:
        came, body = sealing.as_it_came(letter, None)
    except ConfigurationError as error:
        return str(error)
    headers = envelope.replay_headers(
        came,
        consumer.broker.dialect(),
        dead_letter_id=str(letter.pk),
        replay_id=f"trial-{item.trial_id}",
    )
    where = {"destination": letter.origin or consumer.destination, "message-id": letter.message_id or str(letter.pk)}
    return _Message(
        consumer=consumer.name,
        handler=consumer.handler,
        codec=Codec(consumer.codec),
        correlation_id_required=consumer.correlation_id_required,
        headers={**headers, **where},
        body=body,
    )


def _tried(message: _Message) -> Verdict:
    given = message.headers.get(correlation.HEADER, "")
    if not given and message.correlation_id_required:
        told = "the message has no correlation-id header"
        return failed(Failure(error_type="MissingCorrelationId", message=told), None)
    try:
        handler = handlers.resolve(message.handler, settings_now().handlers)
        body = codecs.decode(message.body, message.headers, message.codec)
    except HandlerNotFound as error:
        return failed(Failure(error_type="HandlerNotFound", message=str(error)), None)
    except UnreadableBody as error:
        return failed(Failure(error_type="UnreadableBody", message=str(error)), None)
    except ConfigurationError as error:
        return skipped(f"The settings can't be used: {error}")
    given = message.headers[correlation.HEADER] = given or correlation.new()
    with correlation.InThread(given):
        return _called(handler, message, body)


def _called(handler: Handler, message: _Message, body: object) -> Verdict:
    choice = _ByHand()
    notes: list[str] = []
    error: BaseException | None = None
    started = time.perf_counter()
    try:
        result = handler(Payload(choice.ack, choice.nack, message.headers, body))
        if result is not None and inspect.isawaitable(result):
            asyncio.run(_awaited(result, notes))
        notes += uncommitted.conclude()
    except BaseException as raised:  # noqa: BLE001 - whatever a handler raises is its outcome, SystemExit too
        error = raised
    seconds = time.perf_counter() - started
    connections.close_all()
    return _verdict(error, choice.chosen, seconds, [*_withheld(), *notes])


async def _awaited(awaitable: Awaitable[object], notes: list[str]) -> None:
    await awaitable
    # Where the async ORM has its connections: in the thread of what must stay in one.
    notes += await sync_to_async(lambda: list(uncommitted.conclude()))()


def _verdict(error: BaseException | None, chosen: str, seconds: float, notes: list[str]) -> Verdict:
    if error is None and chosen != "nack":
        return Verdict(state=TrialItemState.PASSED, seconds=seconds, notes=tuple(notes))
    if error is None:
        verdict = failed(NACKED, seconds)
        return replace(verdict, notes=("It would be dead-lettered: the handler called nack().", *notes))
    if chosen == "ack":
        failure = failure_of(error)
        told = f"It raised {failure.error_type} after it had called ack(): the message counts as handled."
        return replace(failed(failure, seconds), state=TrialItemState.PASSED, notes=(told, *notes))
    also = [OF_THE_TRANSACTION] if any(map(_of_the_transaction, _chain(error))) else []
    return replace(failed(failure_of(error), seconds), notes=(*also, *notes))


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def _of_the_transaction(error: BaseException) -> bool:
    return type(error).__name__ in _TRANSACTION_ERRORS or _CLOSED in str(error)


def _withheld() -> Iterator[str]:
    for destination, count in withholding.noted().items():
        messages = "1 message" if count == 1 else f"{count:,} messages"
        yield f"It would have sent {messages} to {destination}."


def _log_to_output() -> None:
    """Logging goes to the output and nowhere else: a trial must not mail the admins, nor fill the team's logs."""
    output = logging.StreamHandler(sys.stderr)
    output.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))
    output.setLevel(logging.INFO)
    loggers: list[Any] = list(logging.Logger.manager.loggerDict.values())
    for logger in loggers:
        if isinstance(logger, logging.Logger):
            logger.handlers.clear()
            logger.propagate = True
    logging.root.handlers[:] = [output]

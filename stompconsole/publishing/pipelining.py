"""Sending many messages without waiting for each receipt before the next; all are awaited in the end.

Owns the window and the time limits of waiting. Refuses to lose a message quietly: what is not confirmed raises.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from contextlib import contextmanager
from dataclasses import dataclass

from stompconsole.delivery.sender import Sender
from stompconsole.delivery.specs import BrokerSpec
from stompconsole.errors import BrokerError, ReceiptTimeout
from stompconsole.publishing import withholding
from stompconsole.publishing.messages import Message
from stompconsole.publishing.process_senders import process_senders

WINDOW = 500
"""Messages that wait for their receipts at once."""

GRACE_S = 5.0
"""The sender says when a receipt is late; this much later we stop waiting for it to say so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """Messages for a broker. ``timeout_s`` shortens the broker's own limit for a receipt; None leaves it."""

    broker: BrokerSpec
    messages: Sequence[Message]
    timeout_s: float | None = None

    @property
    def limit_s(self) -> float:
        """How long to wait for the next receipt."""
        return self.broker.receipt_timeout_s + GRACE_S if self.timeout_s is None else self.timeout_s


class Pipeline:
    """Messages on their way, in order. For one thread or task at a time.

    The first one to each destination goes alone: a queue that RabbitMQ has with other properties, such as
    django-stomp's, ends the session over it. Then nothing else is lost with that, and nothing is overtaken.
    """

    def __init__(self) -> None:
        self.confirmed = 0
        self._awaited: deque[tuple[Future[None], float]] = deque()
        self._destinations: set[str] = set()
        self._alone = False

    def send(self, outgoing: Outgoing, sender: Sender | None = None) -> None:
        """Hand them to the sender, by default to the process's own; connects if need be, and waits for receipts
        where there is no room for the next."""
        if not outgoing.messages:
            return
        if withholding.is_withheld():
            withholding.note(outgoing.messages)
            return
        way = sender or process_senders().of(outgoing.broker)
        dialect = way.dialect()
        for message in outgoing.messages:
            self._make_room(message.destination)
            sent = way.send(message.destination, message.frame_headers(dialect), message.body)
            self._awaited.append((sent, outgoing.limit_s))

    def confirm(self) -> None:
        """Wait for all receipts."""
        while self._awaited:
            self._confirm_first()

    async def confirmation(self) -> None:
        """Wait for all receipts, and let other tasks run meanwhile."""
        while self._awaited:
            sent, limit_s = self._awaited.popleft()
            try:
                async with asyncio.timeout(limit_s):
                    await asyncio.wrap_future(sent)
            except TimeoutError:
                raise _unconfirmed(limit_s) from None
            self.confirmed += 1

    def _make_room(self, destination: str) -> None:
        is_new = destination not in self._destinations
        if is_new or self._alone:
            self.confirm()
        elif len(self._awaited) >= WINDOW:
            self._confirm_first()
        self._alone = is_new
        self._destinations.add(destination)

    def _confirm_first(self) -> None:
        sent, limit_s = self._awaited.popleft()
        try:
            sent.result(limit_s)
        except FutureTimeout:
            raise _unconfirmed(limit_s) from None
        self.confirmed += 1


@contextmanager
def counting(pipeline: Pipeline, total: int) -> Iterator[None]:
    """Have a broker's error say how many of several messages were confirmed before it."""
    try:
        yield
    except BrokerError as error:
        if total == 1:
            raise
        raise type(error)(f"{pipeline.confirmed} of {total} messages were confirmed, then: {error}") from error


def send_now(outgoing: Outgoing, sender: Sender | None = None) -> None:
    """Send them and wait until the broker has them all. Raises as ``publish``."""
    pipeline = Pipeline()
    with counting(pipeline, len(outgoing.messages)):
        pipeline.send(outgoing, sender)
        pipeline.confirm()


async def sending(outgoing: Outgoing) -> None:
    """``send_now`` that lets other tasks run meanwhile."""
    pipeline = Pipeline()
    with counting(pipeline, len(outgoing.messages)):
        # In a thread: it may have to connect, and to wait for room in the window.
        await asyncio.to_thread(pipeline.send, outgoing)
        await pipeline.confirmation()


def _unconfirmed(limit_s: float) -> ReceiptTimeout:
    reason = f"the broker did not confirm in {limit_s:g} s: it may be blocked or full, and may or may not have it"
    return ReceiptTimeout(reason)

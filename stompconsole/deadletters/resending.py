"""Sending a portion of dead letters where they came from, and finding out what the broker made of each.

Many are in flight at once. When something goes wrong with many in flight it is not certain which one it was: RabbitMQ
names no frame in its ERRORs, and brokers close a connection over one message without a word. What was not confirmed
is then sent one by one, until it is clear whether the broker or a message is to blame.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from itertools import groupby

from stompconsole.brokers import Dialect
from stompconsole.deadletters.replay_rows import Outgoing
from stompconsole.delivery import envelope
from stompconsole.delivery.sender import Sender, Senders
from stompconsole.delivery.specs import BrokerSpec
from stompconsole.errors import BrokerRefused, ConfigurationError, ConnectFailed, ReceiptTimeout, StompConsoleError

CLOSES_TO_BLAME = 3
"""Connections that must end while a message is alone on them before it is to blame."""

REFUSALS_TO_BLAME = 2
"""Refusals before a message is skipped: the first may have meant another one in flight."""

STOP_GRACE_S = 2.0
"""How long receipts are still waited for once the worker is asked to stop."""

_NOT_TAKEN = (BrokerRefused, ConfigurationError, ConnectFailed)

LONGEST_WAIT_S = 120.0
"""How long a portion is waited for at most. The sender fails it long before, connecting to a standby included."""


@dataclass(slots=True)
class Results:
    """What became of a portion. Those in no list are unknown and stay waiting; ``trouble`` by broker says why,
    ``stuck_at`` is the item that was alone in flight when trouble came. ``unsent`` stay waiting too: the broker has
    certainly not taken them."""

    sent: list[uuid.UUID] = field(default_factory=list)
    unsent: set[uuid.UUID] = field(default_factory=set)
    refused: dict[uuid.UUID, str] = field(default_factory=dict)
    trouble: dict[str, str] = field(default_factory=dict)
    stuck_at: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Way:
    """An open way to a broker."""

    broker: BrokerSpec
    sender: Sender
    dialect: Dialect


class Resender:
    """Sends the portions of one replay."""

    def __init__(self, replay_id: int, senders: Senders, stop: asyncio.Event) -> None:
        self._replay_id = replay_id
        self._senders = senders
        self._stop = stop

    async def send(self, messages: Sequence[Outgoing]) -> Results:
        """Send them; returns when each is confirmed, refused or unknown. Never raises what brokers do."""
        results = Results()
        ordered = sorted(messages, key=lambda message: message.broker.name)
        portions = {broker: list(group) for broker, group in groupby(ordered, key=lambda message: message.broker)}
        await asyncio.gather(*(self._send_to(broker, group, results) for broker, group in portions.items()))
        return results

    async def _send_to(self, broker: BrokerSpec, messages: Sequence[Outgoing], results: Results) -> None:
        sender = self._senders.of(broker)
        try:
            # Connecting blocks for up to the connect time limit.
            way = _Way(broker=broker, sender=sender, dialect=await asyncio.to_thread(sender.dialect))
        except StompConsoleError as failed:
            results.trouble[broker.name] = str(failed)
            results.unsent.update(message.dead_letter_id for message in messages)
            return
        errors = await self._settled([self._hand_over(way, message) for message in messages])
        doubtful: list[tuple[Outgoing, StompConsoleError]] = []
        for message, error in zip(messages, errors, strict=True):
            if error is None:
                results.sent.append(message.dead_letter_id)
            else:
                doubtful.append((message, error))
                results.unsent.update([message.dead_letter_id] if isinstance(error, _NOT_TAKEN) else [])
        await self._one_by_one(way, doubtful, results)

    async def _one_by_one(
        self, way: _Way, doubtful: Iterable[tuple[Outgoing, StompConsoleError]], results: Results
    ) -> None:
        for message, error in doubtful:
            if self._stop.is_set():
                return
            verdict = await self._alone(way, message, error)
            if not isinstance(verdict, _NOT_TAKEN):
                results.unsent.discard(message.dead_letter_id)
            match verdict:
                case None:
                    results.sent.append(message.dead_letter_id)
                case ConnectFailed() | ReceiptTimeout():
                    results.trouble[way.broker.name] = str(verdict)
                    results.stuck_at = message.item_id
                    return
                case _:
                    results.refused[message.dead_letter_id] = _blame(verdict)

    async def _alone(self, way: _Way, message: Outgoing, first: StompConsoleError) -> StompConsoleError | None:
        """Send a message with no other of ours in flight: None once it is confirmed, else what is to blame."""
        if isinstance(first, ConfigurationError | ConnectFailed):
            return first
        refusals, closes = int(isinstance(first, BrokerRefused)), 0
        while True:
            (error,) = await self._settled([self._hand_over(way, message)])
            if error is None or isinstance(error, ConfigurationError | ConnectFailed | ReceiptTimeout):
                return error
            refusals += isinstance(error, BrokerRefused)
            closes += not isinstance(error, BrokerRefused)
            if refusals >= REFUSALS_TO_BLAME or closes >= CLOSES_TO_BLAME:
                return error

    def _hand_over(self, way: _Way, message: Outgoing) -> Future[None]:
        dead_letter_id, replay_id = str(message.dead_letter_id), str(self._replay_id)
        headers = envelope.replay_headers(
            message.headers, way.dialect, dead_letter_id=dead_letter_id, replay_id=replay_id
        )
        headers.update(way.dialect.send_headers(message.destination))
        if "content-length" in message.headers:
            # Mirrored: its presence tells a Java receiver bytes from text. The sender gives it its value.
            headers["content-length"] = ""
        if way.dialect.duplicate_id_header:
            headers[way.dialect.duplicate_id_header] = f"{dead_letter_id}-{replay_id}"
        return way.sender.send(message.destination, headers, message.body)

    async def _settled(self, futures: Sequence[Future[None]]) -> list[StompConsoleError | None]:
        """The error of each, None for a receipt. A worker that stops does not wait out a broker that is blocked."""
        waited = [asyncio.wrap_future(future) for future in futures]
        for future in waited:
            future.add_done_callback(_retrieve)
        stopping = asyncio.ensure_future(self._stop.wait())
        everything = asyncio.ensure_future(asyncio.wait(waited))
        try:
            await asyncio.wait({everything, stopping}, return_when=asyncio.FIRST_COMPLETED, timeout=LONGEST_WAIT_S)
            await asyncio.wait({everything}, timeout=STOP_GRACE_S)
        finally:
            stopping.cancel()
            # Waiting is cancelled, the futures are not: a sender must find its own as it left them.
            everything.cancel()
        return [_error_of(future) for future in waited]


def _error_of(future: asyncio.Future[None]) -> StompConsoleError | None:
    if not future.done():
        return ReceiptTimeout("the broker had not confirmed when the worker stopped waiting")
    error = future.exception()
    if error is None or isinstance(error, StompConsoleError):
        return error
    raise error


def _retrieve(future: asyncio.Future[None]) -> None:
    """Take note of an outcome nobody waits for any more, so that asyncio does not report it as forgotten."""
    if not future.cancelled():
        future.exception()


def _blame(error: StompConsoleError) -> str:
    match error:
        case BrokerRefused():
            return f"The broker refuses it: {error}"
        case ConfigurationError():
            return f"It can't be sent: {error}"
        case _:
            return f"Each time it was sent the connection ended: {error}"

"""Sending a portion of dead letters where they came from, and finding out what the broker made of each.

Many are in flight at once, but no more than the last ones that went well: one, two, four … When something goes wrong
with many in flight it is not certain which one it was: RabbitMQ names no frame in its ERRORs, brokers close a
connection over one message without a word, and ActiveMQ takes all of a transaction or none. What failed is then sent
one by one, until it is clear whether the broker or a message is to blame. What is only late is never sent again: it is
waited for, as long as its connection lives.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from itertools import groupby

from stompconsole.brokers import Dialect
from stompconsole.conf import settings_now
from stompconsole.deadletters.portions import Outgoing
from stompconsole.deadletters.together import all_done
from stompconsole.deadletters.unconfirmed import Results, Unconfirmed
from stompconsole.delivery import envelope
from stompconsole.delivery.awaited import NOT_CONFIRMED
from stompconsole.delivery.jobs import Message
from stompconsole.delivery.sender import Sender
from stompconsole.delivery.senders import Senders
from stompconsole.delivery.specs import BrokerSpec
from stompconsole.errors import (
    BrokerBlocked,
    BrokerRefused,
    ConfigurationError,
    ConnectFailed,
    ReceiptTimeout,
    StompConsoleError,
)

MOST_IN_FLIGHT = 500

CLOSES_TO_BLAME = 3
"""Connections that must end while a message is alone on them before it is to blame."""

REFUSALS_TO_BLAME = 2
"""Refusals before a message is skipped: the first may have meant another one in flight."""

STOP_GRACE_S = 2.0
"""How long receipts are still waited for once the worker is asked to stop."""

LONGEST_WAIT_S = 120.0
"""How long a portion is waited for at most. The sender fails it long before, connecting to a standby included."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Way:
    """An open way to a broker."""

    broker: BrokerSpec
    sender: Sender
    dialect: Dialect


@dataclass(frozen=True, slots=True, kw_only=True)
class _Group:
    """Messages for one broker, each handed over with what will become of it, or in one transaction."""

    way: _Way
    messages: Sequence[Outgoing]
    answers: Sequence[Future[None]]
    transacted: bool = False


@dataclass(frozen=True, slots=True)
class Flight:
    """A portion that is handed over, and not settled yet."""

    groups: Sequence[_Group]

    @property
    def answers(self) -> list[Future[None]]:
        """What will become of each message."""
        return [answer for group in self.groups for answer in group.answers]


class Resender:
    """Sends the portions of one replay."""

    def __init__(self, replay_id: int, senders: Senders, stop: asyncio.Event) -> None:
        self._replay_id = replay_id
        self._senders = senders
        self._stop = stop
        self._transacts = settings_now().transacted_replays
        self._windows: dict[str, int] = {}
        self._unconfirmed = Unconfirmed()

    async def send(self, messages: Sequence[Outgoing]) -> Results:
        """Send them; returns when each is confirmed, refused or unknown. Never raises what brokers do."""
        results = Results()
        portions = _by_broker(messages)
        await asyncio.gather(*(self._send_to(broker, group, results) for broker, group in portions.items()))
        return self._unconfirmed.complete(results)

    async def hand_over(self, messages: Sequence[Outgoing]) -> Flight | None:
        """Send them and do not wait, so that a broker that takes long to confirm always has something in hand. To be
        settled. None, and nothing is sent, where as many at once have not gone well before."""
        portions = _by_broker(messages)
        if not all(self._goes_well(broker, group) for broker, group in portions.items()):
            return None
        try:
            ways = [await self._way(broker) for broker in portions]
        except StompConsoleError:
            # Whoever sends them finds out what is wrong.
            return None
        return Flight([self._hand_over(way, group) for way, group in zip(ways, portions.values(), strict=True)])

    def _goes_well(self, broker: BrokerSpec, messages: Sequence[Outgoing]) -> bool:
        late = any(self._unconfirmed.is_late(message) for message in messages)
        return not late and len(messages) <= self._windows.get(broker.name, 1) and self._senders.of(broker).is_open

    async def settle(self, flight: Flight, behind: Flight | None = None) -> Results:
        """What became of what was handed over; ``behind`` was so after it, and is yet to be settled."""
        results = Results()
        doubtful = await asyncio.gather(*(self._told_apart(group, results) for group in flight.groups))
        if any(doubtful) and behind is not None:
            # What is sent one by one to find who is to blame is to have no other beside it.
            await self._settled(behind.answers)
        await asyncio.gather(
            *(self._one_by_one(group.way, some, results) for group, some in zip(flight.groups, doubtful, strict=True))
        )
        for group in flight.groups:
            if (name := group.way.broker.name) in results.trouble:
                self._windows[name] = 1
        return self._unconfirmed.complete(results)

    async def _send_to(self, broker: BrokerSpec, messages: Sequence[Outgoing], results: Results) -> None:
        try:
            way = await self._way(broker)
        except StompConsoleError as failed:
            results.trouble[broker.name] = str(failed)
            return
        late = [message for message in messages if self._unconfirmed.is_late(message)]
        waiting = deque(message for message in messages if not self._unconfirmed.is_late(message))
        while waiting and broker.name not in results.trouble and not self._stop.is_set():
            window = self._windows.get(broker.name, 1)
            taken = [waiting.popleft() for _ in range(min(window, len(waiting)))]
            await self._send_together(way, taken, results)
            self._windows[broker.name] = 1 if broker.name in results.trouble else min(2 * window, MOST_IN_FLIGHT)
        if late:
            await self._await_late(way, late, results)

    async def _way(self, broker: BrokerSpec) -> _Way:
        sender = self._senders.of(broker)
        # Connecting blocks for up to the connect time limit.
        return _Way(broker=broker, sender=sender, dialect=await asyncio.to_thread(sender.dialect))

    async def _send_together(self, way: _Way, messages: Sequence[Outgoing], results: Results) -> None:
        doubtful = await self._told_apart(self._hand_over(way, messages), results)
        await self._one_by_one(way, doubtful, results)

    async def _told_apart(self, group: _Group, results: Results) -> list[tuple[Outgoing, StompConsoleError]]:
        """Note those that are confirmed; the others, each with what is known of it."""
        doubtful: list[tuple[Outgoing, StompConsoleError]] = []
        errors = await self._settled(group.answers)
        if group.transacted and type(errors[0]) is BrokerRefused and not self._stop.is_set():
            # On account of one of them. Each by itself the broker says of which, and takes the others.
            errors = await self._settled(self._each(group.way, group.messages))
        for message, error in zip(group.messages, errors, strict=True):
            self._unconfirmed.learn(message, error)
            if error is None:
                self._unconfirmed.confirm(message, group.way.dialect, results)
            else:
                doubtful.append((message, error))
        return doubtful

    async def _await_late(self, way: _Way, messages: Sequence[Outgoing], results: Results) -> None:
        """Wait once more for those whose receipts are late."""
        outcomes = [self._unconfirmed.outcome_of(message) for message in messages]
        errors = await self._settled(outcomes, way.broker.receipt_timeout_s)
        doubtful: list[tuple[Outgoing, StompConsoleError]] = []
        for message, outcome, error in zip(messages, outcomes, errors, strict=True):
            if not outcome.done():
                still = f"{NOT_CONFIRMED} what was sent, {way.dialect.silence}"
                results.trouble.setdefault(way.broker.name, still)
                continue
            self._unconfirmed.has_come(message)
            if error is None:
                self._unconfirmed.confirm(message, way.dialect, results)
            else:
                self._unconfirmed.learn(message, error)
                doubtful.append((message, error))
        await self._one_by_one(way, doubtful, results)

    async def _one_by_one(
        self, way: _Way, doubtful: Iterable[tuple[Outgoing, StompConsoleError]], results: Results
    ) -> None:
        for message, error in doubtful:
            if self._stop.is_set():
                return
            verdict = await self._alone(way, message, error)
            match verdict:
                case None:
                    self._unconfirmed.confirm(message, way.dialect, results)
                case ConnectFailed() | ReceiptTimeout() | BrokerBlocked():
                    results.trouble[way.broker.name] = str(verdict)
                    results.stuck_at = message.item_id
                    return
                case _:
                    results.refused[message.dead_letter_id] = _blame(verdict)

    async def _alone(self, way: _Way, message: Outgoing, first: StompConsoleError) -> StompConsoleError | None:
        """Send a message with no other of ours in flight: None once it is confirmed, else what is to blame."""
        if isinstance(first, _BLAMES_ITSELF) or self._unconfirmed.is_late(message):
            return first
        refusals, closes = int(isinstance(first, BrokerRefused)), 0
        while True:
            (error,) = await self._settled(self._each(way, [message]))
            self._unconfirmed.learn(message, error)
            if error is None or isinstance(error, (*_BLAMES_ITSELF, ReceiptTimeout)):
                return error
            refusals += isinstance(error, BrokerRefused)
            closes += not isinstance(error, BrokerRefused)
            if refusals >= REFUSALS_TO_BLAME or closes >= CLOSES_TO_BLAME:
                return error

    def _hand_over(self, way: _Way, messages: Sequence[Outgoing]) -> _Group:
        if not (self._transacts and way.dialect.transacts_sends and len(messages) > 1):
            return _Group(way=way, messages=messages, answers=self._each(way, messages))
        answer = way.sender.send_together([self._content(way, message) for message in messages])
        return _Group(way=way, messages=messages, answers=[answer] * len(messages), transacted=True)

    def _each(self, way: _Way, messages: Sequence[Outgoing]) -> list[Future[None]]:
        contents = [self._content(way, message) for message in messages]
        return [way.sender.send(content.destination, content.headers, content.body) for content in contents]

    def _content(self, way: _Way, message: Outgoing) -> Message:
        dead_letter_id, replay_id = str(message.dead_letter_id), str(self._replay_id)
        own = way.dialect.own_address(message.wanted)
        destination = own or message.wanted.destination
        headers = envelope.replay_headers(
            message.headers,
            way.dialect,
            dead_letter_id=dead_letter_id,
            replay_id=replay_id,
            consumer="" if own else message.consumer,
        )
        headers.update(message.earlier.headers() if message.earlier is not None else {})
        headers.update(way.dialect.send_headers(destination))
        if "content-length" in message.headers:
            # Mirrored: its presence tells a Java receiver bytes from text. The sender gives it its value.
            headers["content-length"] = ""
        if way.dialect.duplicate_id_header:
            headers[way.dialect.duplicate_id_header] = f"{dead_letter_id}-{replay_id}"
        return Message(destination, headers, message.body)

    async def _settled(
        self, futures: Sequence[Future[None]], limit_s: float = LONGEST_WAIT_S
    ) -> list[StompConsoleError | None]:
        """The error of each, None for a receipt. A worker that stops does not wait out a broker that is blocked."""
        everything = asyncio.ensure_future(all_done(list(dict.fromkeys(futures))))
        stopping = asyncio.ensure_future(self._stop.wait())
        try:
            await asyncio.wait({everything, stopping}, return_when=asyncio.FIRST_COMPLETED, timeout=limit_s)
            if self._stop.is_set():
                await asyncio.wait({everything}, timeout=STOP_GRACE_S)
        finally:
            stopping.cancel()
            # Waiting is cancelled, the futures are not: a sender must find its own as it left them.
            everything.cancel()
        return [_error_of(future) for future in futures]


def _by_broker(messages: Sequence[Outgoing]) -> dict[BrokerSpec, list[Outgoing]]:
    ordered = sorted(messages, key=lambda message: message.broker.name)
    return {broker: list(group) for broker, group in groupby(ordered, key=lambda message: message.broker)}


_BLAMES_ITSELF = (ConfigurationError, ConnectFailed, BrokerBlocked)
"""Errors after which it is clear what is to blame, and that the broker does not have the message."""


def _error_of(future: Future[None]) -> StompConsoleError | None:
    if not future.done():
        return ReceiptTimeout("the broker had not confirmed when the worker stopped waiting")
    error = future.exception()
    if error is None or isinstance(error, StompConsoleError):
        return error
    raise error


def _blame(error: StompConsoleError) -> str:
    match error:
        case BrokerRefused():
            return f"The broker refuses it: {error}"
        case ConfigurationError():
            return f"It can't be sent: {error}"
        case _:
            return f"Each time it was sent the connection ended: {error}"

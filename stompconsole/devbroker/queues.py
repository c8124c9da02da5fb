"""Queues: messages in order, and the subscriptions that take turns at them.

Owns order, prefetch and who holds what: a message is ready in one queue or held by one subscription, never both.
Refuses to know sockets, destinations by name and what NACK means. Nothing here waits: who writes is told by calls.
"""

from __future__ import annotations

import enum
import heapq
import itertools
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import ClassVar, Protocol

from stompconsole.devbroker.frames import Version
from stompconsole.devbroker.messages import Entry, Message


class AckMode(enum.StrEnum):
    """When a delivery is settled (STOMP 1.2, SUBSCRIBE ack Header)."""

    AUTO = "auto"
    CLIENT = "client"
    CLIENT_INDIVIDUAL = "client-individual"


class Receiver(Protocol):
    """The client end of a subscription."""

    @property
    def writable(self) -> bool:
        """Whether it takes another message now."""

    def deliver(self, delivery: Delivery) -> None:
        """Write a MESSAGE frame."""


@dataclass(slots=True, eq=False)
class Delivery:
    """One handing-out of a message. ``reserved`` while an open transaction is going to settle it."""

    number: int
    key: str
    """What ACK names it by: the ``ack`` header in STOMP 1.2, the message-id in 1.1."""
    entry: Entry
    subscription: Subscription
    reserved: bool = False


@dataclass(slots=True, eq=False, kw_only=True)
class Subscription:
    """One SUBSCRIBE of one client. ``held`` are its deliveries not settled yet, the oldest first."""

    id: str
    destination: str
    ack_mode: AckMode
    prefetch: int
    version: Version
    receiver: Receiver
    source: Queue
    held: dict[str, Delivery] = field(default_factory=dict)
    active: bool = True

    @property
    def hungry(self) -> bool:
        """Whether it takes another message now."""
        return len(self.held) < self.prefetch and self.receiver.writable

    def key(self, number: int, message: Message) -> str:
        """What the client names a delivery by."""
        return message.message_id if self.version is Version.V11 else f"{number}@{self.id}"


class Budget:
    """Bytes that several queues share. Counts only; who adds asks first."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.used = 0

    def has_room(self, size: int) -> bool:
        return self.used + size <= self.limit


class Queue:
    """Messages in the order they came, given in turn to the subscriptions that have room."""

    _delivery_numbers: ClassVar = itertools.count(1)
    """One count for all queues: no two deliveries are ever named alike."""

    def __init__(self, name: str, budget: Budget, wake: Callable[[Queue], None]) -> None:
        self.name = name
        self.budget = budget
        self.unacked = 0
        self.reserved = 0
        """Messages of open transactions that will come here."""
        self.subscriptions: deque[Subscription] = deque()
        self._wake = wake
        self._positions = itertools.count(1)
        # Whatever came back was taken earlier than all that is fresh: it goes first, by position.
        self._returned: list[Entry] = []
        self._fresh: deque[Entry] = deque()

    @property
    def depth(self) -> int:
        """Messages that are ready, those held by clients not counted."""
        return len(self._returned) + len(self._fresh)

    @property
    def idle(self) -> bool:
        """Whether nothing would be lost by forgetting this queue."""
        return not (self.depth or self.unacked or self.reserved or self.subscriptions)

    def entries(self) -> Iterator[Entry]:
        """What is ready, in order."""
        return itertools.chain(sorted(self._returned), self._fresh)

    def put(self, message: Message) -> None:
        """Add a message at the end."""
        self.budget.used += message.size
        self._fresh.append(Entry(next(self._positions), message))
        self._wake(self)

    def attach(self, subscription: Subscription) -> None:
        self.subscriptions.append(subscription)
        self._wake(self)

    def detach(self, subscription: Subscription) -> None:
        """Take a subscription off; what it holds goes back, except what an open transaction is going to settle."""
        subscription.active = False
        self.subscriptions.remove(subscription)
        for delivery in list(subscription.held.values()):
            if not delivery.reserved:
                self.give_back(delivery)

    def wake(self) -> None:
        """Say that a subscription may have room again."""
        if self.depth:
            self._wake(self)

    def dispatch(self) -> None:
        """Give what is ready to those who have room, in turn."""
        ring = self.subscriptions
        passed_over = 0
        while passed_over < len(ring) and (self._returned or self._fresh):
            subscription = ring[0]
            ring.rotate(-1)
            if subscription.hungry:
                self._hand_out(subscription)
                passed_over = 0
            else:
                passed_over += 1

    def release(self, delivery: Delivery) -> Message:
        """Take a held message out for good; the caller decides what becomes of it."""
        del delivery.subscription.held[delivery.key]
        self.unacked -= 1
        message = delivery.entry.message
        self.budget.used -= message.size
        self.wake()
        return message

    def give_back(self, delivery: Delivery) -> None:
        """Put a held message back to where it was."""
        del delivery.subscription.held[delivery.key]
        self.unacked -= 1
        delivery.entry.redelivered = True
        heapq.heappush(self._returned, delivery.entry)
        self._wake(self)

    def keep_only(self, wanted: Callable[[Message], bool]) -> None:
        """Drop every ready message that is not wanted, and forget which ones were handed out before."""
        kept = [entry for entry in self.entries() if wanted(entry.message)]
        self.budget.used -= sum(entry.message.size for entry in self.entries())
        self.budget.used += sum(entry.message.size for entry in kept)
        for entry in kept:
            entry.redelivered = False
        self._returned = []
        self._fresh = deque(kept)

    def _take(self) -> Entry:
        return heapq.heappop(self._returned) if self._returned else self._fresh.popleft()

    def _hand_out(self, subscription: Subscription) -> None:
        entry = self._take()
        number = next(self._delivery_numbers)
        delivery = Delivery(number, subscription.key(number, entry.message), entry, subscription)
        if subscription.ack_mode is AckMode.AUTO:
            self.budget.used -= entry.message.size
        else:
            subscription.held[delivery.key] = delivery
            self.unacked += 1
        subscription.receiver.deliver(delivery)


class Backlog(Queue):
    """The private queue of one subscription to a topic: when it is full, its oldest messages are dropped."""

    def __init__(self, name: str, budget: Budget, wake: Callable[[Queue], None], *, messages: int) -> None:
        super().__init__(name, budget, wake)
        self.dropped = 0
        self._messages = messages

    @property
    def _overfull(self) -> bool:
        return self.depth > 1 and (self.depth > self._messages or self.budget.used > self.budget.limit)

    def put(self, message: Message) -> None:
        super().put(message)
        if self._overfull:
            # A subscription that only has not had its turn yet is not slow.
            self.dispatch()
        while self._overfull:
            self.budget.used -= self._take().message.size
            self.dropped += 1

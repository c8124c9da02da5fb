"""Destinations by name: what is sent goes to one queue, or to a backlog of each subscription to a topic.

Owns limits, what NACK means, message-ids and the dispatch of all queues. Refuses to know sockets and frames.
"""

from __future__ import annotations

import enum
import itertools
import logging
from collections.abc import Callable, Iterator

from stompconsole.devbroker.frames import Version
from stompconsole.devbroker.messages import Entry, Message
from stompconsole.devbroker.options import BrokerOptions, NackPolicy
from stompconsole.devbroker.queues import AckMode, Backlog, Budget, Delivery, Queue, Receiver, Subscription
from stompconsole.devbroker.refusals import Refused

logger = logging.getLogger(__name__)

QUEUE_PREFIX = "/queue/"
TOPIC_PREFIX = "/topic/"
DEAD_LETTER_PREFIX = "/queue/DLQ."


class Settlement(enum.Enum):
    """How a client settles a delivery."""

    ACK = "ACK"
    NACK = "NACK"


def checked_destination(destination: str) -> str:
    """The destination, if it is one. Raises Refused: a typing error must not become a queue."""
    if any(destination.startswith(prefix) and destination != prefix for prefix in (QUEUE_PREFIX, TOPIC_PREFIX)):
        return destination
    raise Refused(f"the destination {destination!r} is neither /queue/<name> nor /topic/<name>")


class Store:
    """All destinations. ``wake_up`` is called when there is something to ``pump``."""

    def __init__(self, options: BrokerOptions, run_id: str, wake_up: Callable[[], None]) -> None:
        self._options = options
        self._run_id = run_id
        self._wake_up = wake_up
        self._numbers = itertools.count(1)
        self._budget = Budget(options.total_bytes)
        self._queues: dict[str, Queue] = {}
        self._topics: dict[str, list[Backlog]] = {}
        self._awake: dict[Queue, None] = {}

    def next_message_id(self) -> str:
        """An id that no other message of this broker has."""
        return f"{self._run_id}-{next(self._numbers)}"

    def check_room(self, message: Message) -> None:
        """Raise Refused if the queue it goes to, or all queues together, are full. Topics are never full."""
        if message.destination.startswith(TOPIC_PREFIX):
            return
        queue = self._queue(message.destination)
        if queue.depth + queue.unacked + queue.reserved >= self._options.queue_messages:
            raise Refused(
                f"{message.destination} is full: it holds {self._options.queue_messages} messages, the most it may"
            )
        if not self._budget.has_room(message.size):
            self._forget_if_idle(queue)
            raise Refused(f"the broker is full: its queues hold {self._budget.used} of {self._budget.limit} bytes")

    def send(self, message: Message) -> None:
        """Put a message where it goes; room was checked before."""
        if message.destination.startswith(TOPIC_PREFIX):
            for backlog in self._topics.get(message.destination, ()):
                backlog.put(message)
        else:
            self._queue(message.destination).put(message)

    def reserve(self, message: Message) -> None:
        """Keep room for a message of an open transaction. Raises Refused when there is none."""
        self.check_room(message)
        self._budget.used += message.size
        if message.destination.startswith(QUEUE_PREFIX):
            self._queue(message.destination).reserved += 1

    def unreserve(self, message: Message) -> None:
        """Give back the room kept."""
        self._budget.used -= message.size
        if message.destination.startswith(QUEUE_PREFIX):
            queue = self._queue(message.destination)
            queue.reserved -= 1
            self._forget_if_idle(queue)

    def subscribe(
        self,
        subscription_id: str,
        destination: str,
        *,
        ack_mode: AckMode,
        prefetch: int,
        version: Version,
        receiver: Receiver,
    ) -> Subscription:
        """A new subscription; its first messages come with the next ``pump``."""
        source = self._new_backlog(destination) if destination.startswith(TOPIC_PREFIX) else self._queue(destination)
        subscription = Subscription(
            id=subscription_id,
            destination=destination,
            ack_mode=ack_mode,
            prefetch=prefetch,
            version=version,
            receiver=receiver,
            source=source,
        )
        source.attach(subscription)
        return subscription

    def unsubscribe(self, subscription: Subscription) -> None:
        """End a subscription: what it holds of a queue goes back to where it was, that of a topic is gone."""
        source = subscription.source
        source.detach(subscription)
        if isinstance(source, Backlog):
            backlogs = self._topics[subscription.destination]
            backlogs.remove(source)
            if not backlogs:
                del self._topics[subscription.destination]
            self._awake.pop(source, None)
            if source.dropped:
                logger.warning("%s: %d messages were dropped, read too slowly", source.name, source.dropped)
        else:
            self._forget_if_idle(source)

    def settle(self, delivery: Delivery, settlement: Settlement) -> None:
        """Carry out an ACK or NACK of a held delivery."""
        source = delivery.subscription.source
        if settlement is Settlement.ACK:
            source.release(delivery)
        else:
            self._reject(source, delivery)
        self._forget_if_idle(source)

    def give_up(self, delivery: Delivery) -> None:
        """Undo the reservation of a delivery: its holder has it again, or it goes back if there is none."""
        delivery.reserved = False
        if not delivery.subscription.active:
            delivery.subscription.source.give_back(delivery)

    def pump(self) -> None:
        """Hand out what can be handed out."""
        awake, self._awake = self._awake, {}
        for queue in awake:
            queue.dispatch()
            self._forget_if_idle(queue)

    def sources(self, destination: str) -> list[Queue]:
        """The queue of that name, or the backlogs of that topic."""
        if destination.startswith(TOPIC_PREFIX):
            return list(self._topics.get(destination, ()))
        return [self._queues[destination]] if destination in self._queues else []

    def ready(self, destination: str) -> Iterator[Entry]:
        """What is ready at a destination, in order."""
        return itertools.chain.from_iterable(queue.entries() for queue in self.sources(destination))

    def destinations(self) -> list[str]:
        """Every destination that exists now."""
        return sorted([*self._queues, *self._topics])

    def forget_transient(self) -> None:
        """What a restart does: persistent messages stay, without a trace of having been delivered."""
        for queue in list(self._queues.values()):
            queue.keep_only(lambda message: message.persistent)
            self._forget_if_idle(queue)

    def _reject(self, source: Queue, delivery: Delivery) -> None:
        match self._options.nack:
            case NackPolicy.DEAD_LETTER:
                self.send(self._dead_letter(source.release(delivery)))
            case NackPolicy.REQUEUE:
                source.give_back(delivery)
            case NackPolicy.DISCARD:
                source.release(delivery)

    def _dead_letter(self, message: Message) -> Message:
        name = message.destination.removeprefix(QUEUE_PREFIX)
        if message.destination.startswith(TOPIC_PREFIX):
            # The copies of one topic message share its id; in a queue two of them must not.
            name = message.destination.removeprefix(TOPIC_PREFIX)
            return message.dead_lettered(DEAD_LETTER_PREFIX + name, self.next_message_id())
        return message.dead_lettered(DEAD_LETTER_PREFIX + name, message.message_id)

    def _queue(self, destination: str) -> Queue:
        queue = self._queues.get(destination)
        if queue is None:
            queue = self._queues[destination] = Queue(destination, self._budget, self._wake)
        return queue

    def _new_backlog(self, destination: str) -> Backlog:
        budget = Budget(self._options.backlog_bytes)
        backlog = Backlog(destination, budget, self._wake, messages=self._options.backlog_messages)
        self._topics.setdefault(destination, []).append(backlog)
        return backlog

    def _wake(self, queue: Queue) -> None:
        if not self._awake:
            self._wake_up()
        self._awake[queue] = None

    def _forget_if_idle(self, queue: Queue) -> None:
        if queue.idle and self._queues.get(queue.name) is queue:
            del self._queues[queue.name]

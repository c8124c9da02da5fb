"""One pass over a holding queue: the messages a replay wants are handed out, all others go to its end again.

STOMP can't look into a queue. So each message is taken, one after the other: a wanted one waits un-acked until it has
been sent; one that is not is sent to the end of the queue, confirmed, and ACKed; one whose dead letter has been sent,
or deleted, is ACKed away. Over when the first that went to the end comes round again, or nothing comes any more. Holds
no more in memory than the broker hands out at once. A crash leaves a copy too many, never one too few.
"""

from __future__ import annotations

import enum
import logging
import threading
import time
import uuid
from collections import deque
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from django.db import Error, close_old_connections, connection

from stompconsole.brokers import Dialect
from stompconsole.deadletters import holding, transitions
from stompconsole.delivery import envelope
from stompconsole.delivery.observer import SilentObserver
from stompconsole.delivery.runner import SubscriptionRunner
from stompconsole.delivery.sender import Sender
from stompconsole.delivery.settlement import Delivery
from stompconsole.delivery.specs import AckMode, BrokerSpec, SubscriptionSpec, SubscriptionState
from stompconsole.errors import StompConsoleError, WorkFailed
from stompconsole.models import DeadLetterState, ReplayItem, ReplayItemState

logger = logging.getLogger(__name__)

PREFETCH = 200
BATCH = 50
MOST_BYTES = 16 * 2**20
"""Bodies handed out at once, unless a single one is larger."""

QUIET_S = 2.0
"""How long nothing must come before the queue is taken to be through."""

LOOK_S = 0.2
LONGEST_TAKE_S = 2.0
"""How long somebody waits for messages at once: meanwhile a replay may have been paused."""

CLOSE_S = 10.0

GRACE = timedelta(hours=1)
"""How old a copy must be before it is dropped because no row knows it: its row may be about to be committed."""


class Verdict(enum.Enum):
    """What becomes of a message of the holding queue."""

    WANTED = "to be sent by this replay"
    WAITS = "goes to the end again"
    DONE = "is not needed any more"


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """Bodies by dead letter; whether the pass is over, and what stands in its way, in words."""

    bodies: Mapping[uuid.UUID, bytes] = field(default_factory=dict, repr=False)
    over: bool = False
    trouble: str = ""


class HeldPass:
    """A pass for one replay, from ``start`` to ``end``. ``take`` and ``settle`` are the engine's; see ``pipeline.Work``
    for the rest."""

    def __init__(self, replay_id: int, broker: BrokerSpec, destination: str, sender: Sender) -> None:
        self.trouble = ""
        self._replay_id = replay_id
        self._broker = broker
        self._destination = destination
        self._sender = sender
        self._mark = uuid.uuid4().hex
        # Between the runner's thread, which finds, and the engine's, which sends.
        self._changed = threading.Condition()
        self._found: deque[tuple[uuid.UUID, Delivery]] = deque()
        self._handed: dict[uuid.UUID, Delivery] = {}
        self._over = self._closed = self._busy = False
        self._quiet_since = time.monotonic()
        self._runner = SubscriptionRunner(self._subscription(), self, SilentObserver())

    def _subscription(self) -> SubscriptionSpec:
        return SubscriptionSpec(
            name=f"replay {self._replay_id} at {self._destination}",
            broker=self._broker,
            destination=self._destination,
            ack_mode=AckMode.CLIENT_INDIVIDUAL,
            threads=1,
            prefetch=PREFETCH,
            batch=BATCH,
        )

    def start(self) -> None:
        self._runner.start()

    def take(self, most: int) -> Taken:
        """The next messages that are wanted; none, and not over, when it takes a while."""
        deadline = time.monotonic() + LONGEST_TAKE_S
        while time.monotonic() < deadline:
            with self._changed:
                self._changed.wait_for(lambda: bool(self._found) or self._over, LOOK_S)
                if self._found:
                    return Taken(bodies=self._hand_out(most))
                if self._over or self._is_through():
                    return Taken(over=True)
            status = self._runner.status
            if status.state is SubscriptionState.BACKING_OFF:
                return Taken(trouble=f"{self._destination} can't be gone through: {status.reason}")
        return Taken(trouble=self.trouble)

    def settle(self, dead_letter_ids: Collection[uuid.UUID]) -> None:
        """These were sent, and that is written down: their copies are not needed any more."""
        for dead_letter_id in dead_letter_ids:
            if (delivery := self._handed.pop(dead_letter_id, None)) is not None:
                delivery.ack()

    def end(self) -> None:
        """What was not settled stays in the queue."""
        with self._changed:
            self._closed = True
            left = [*self._handed.values(), *(delivery for _, delivery in self._found)]
            self._found.clear()
            self._changed.notify_all()
        for delivery in left:
            delivery.settlement.leave(delivery)
        self._runner.drain()
        if not self._runner.join(CLOSE_S):
            self._runner.abort("the pass is over")
            self._runner.join(CLOSE_S)

    def process(self, batch: Sequence[Delivery], dialect: Dialect) -> None:
        self._busy = True
        close_old_connections()
        try:
            self._sort(batch, dialect)
        except Error as error:
            raise WorkFailed(f"the database can't be asked whose messages these are: {error}") from error
        finally:
            close_old_connections()
            self._quiet_since = time.monotonic()
            self._busy = False

    def close(self) -> None:
        with suppress(Error):
            connection.close()

    def _sort(self, batch: Sequence[Delivery], dialect: Dialect) -> None:
        verdicts = self._verdicts([_id_of(delivery) for delivery in batch])
        others: list[Delivery] = []
        for delivery in batch:
            if self._is_mine(delivery) or not delivery.wanted:
                delivery.settlement.leave(delivery)
                continue
            match verdicts.of(delivery):
                case Verdict.WANTED if self._keep(delivery):
                    pass
                case Verdict.DONE:
                    delivery.ack()
                case _:
                    others.append(delivery)
        if others:
            self._to_the_end(others, dialect)
        with self._changed:
            # However long a canary or a rate takes: ``end`` is always called, and nothing is lost un-acked.
            self._changed.wait_for(lambda: self._closed or len(self._found) < BATCH)

    def _is_mine(self, delivery: Delivery) -> bool:
        """Whether the pass is over: the first that it sent to the end has come round."""
        self._over = self._over or delivery.headers.get(envelope.HELD_PASS) == self._mark
        return self._over or self._closed

    def _keep(self, delivery: Delivery) -> bool:
        dead_letter_id = _id_of(delivery)
        with self._changed:
            # A second copy of one that is in hand goes to the end, where it is dropped once the first was sent.
            if dead_letter_id is None or dead_letter_id in self._handed or dead_letter_id in dict(self._found):
                return False
            self._found.append((dead_letter_id, delivery))
            self._changed.notify_all()
        return True

    def _to_the_end(self, others: Sequence[Delivery], source: Dialect) -> None:
        try:
            target = self._sender.dialect()
            sent = [self._send(delivery, source, target) for delivery in others]
            holding.confirmed(sent, self._broker, lambda: not self._closed, self._tell)
        except StompConsoleError as error:
            raise WorkFailed(f"nothing can be sent to {self._destination}: {error}") from error
        finally:
            self.trouble = ""
        for delivery in others:
            delivery.ack()

    def _send(self, delivery: Delivery, source: Dialect, target: Dialect) -> Future[None]:
        names = {envelope.HELD_PASS: self._mark}
        # Not the copy's own: a broker that drops what it has had already would drop it at each next pass.
        duplicate_id = f"{self._mark}-{_copy_of(delivery)}"
        headers = holding.copied(
            delivery, source, target, destination=self._destination, names=names, duplicate_id=duplicate_id
        )
        return self._sender.send(self._destination, headers, delivery.body)

    def _tell(self, trouble: str) -> None:
        self.trouble = f"nothing can be sent to {self._destination}: {trouble}"

    def _verdicts(self, ids: Sequence[uuid.UUID | None]) -> _Verdicts:
        known = [dead_letter_id for dead_letter_id in ids if dead_letter_id is not None]
        items = ReplayItem.objects.filter(replay_id=self._replay_id, state=ReplayItemState.WAITING)
        wanted = items.filter(dead_letter_id__in=known).values_list("dead_letter_id", flat=True)
        rows = transitions.by_id(known).values_list("pk", "state", "held_copy")
        return _Verdicts(rows={pk: (state, copy) for pk, state, copy in rows}, wanted=frozenset(wanted))

    def _hand_out(self, most: int) -> dict[uuid.UUID, bytes]:
        bodies: dict[uuid.UUID, bytes] = {}
        size = 0
        while self._found and len(bodies) < most and (not bodies or size < MOST_BYTES):
            dead_letter_id, delivery = self._found.popleft()
            self._handed[dead_letter_id] = delivery
            bodies[dead_letter_id] = delivery.body
            size += len(delivery.body)
        self._changed.notify_all()
        return bodies

    def _is_through(self) -> bool:
        if self._busy or self._runner.status.state is not SubscriptionState.RUNNING:
            self._quiet_since = time.monotonic()
        return time.monotonic() - self._quiet_since > QUIET_S


@dataclass(frozen=True, slots=True, kw_only=True)
class _Verdicts:
    """What is known of the dead letters of a batch: state and newest copy by id, and which are to be sent."""

    rows: Mapping[uuid.UUID, tuple[str, uuid.UUID | None]]
    wanted: frozenset[uuid.UUID]

    def of(self, delivery: Delivery) -> Verdict:
        dead_letter_id = _id_of(delivery)
        if dead_letter_id is None:
            # Not ours to judge: somebody put it there.
            return Verdict.WAITS
        state, newest = self.rows.get(dead_letter_id, ("", None))
        is_newest = bool(state) and (newest is None or str(newest) == _copy_of(delivery))
        if not is_newest:
            return Verdict.DONE if _is_old(delivery) else Verdict.WAITS
        if state in {DeadLetterState.SENT, DeadLetterState.PROCESSED}:
            return Verdict.DONE
        return Verdict.WANTED if dead_letter_id in self.wanted else Verdict.WAITS


def _id_of(delivery: Delivery) -> uuid.UUID | None:
    try:
        return uuid.UUID(delivery.headers.get(envelope.DEAD_LETTER_ID, ""))
    except ValueError:
        return None


def _copy_of(delivery: Delivery) -> str:
    return delivery.headers.get(envelope.HELD_COPY, "")


def _is_old(delivery: Delivery) -> bool:
    try:
        at = datetime.fromisoformat(delivery.headers.get(envelope.HELD_AT, ""))
    except ValueError:
        return False
    return at.tzinfo is not None and datetime.now(UTC) - at > GRACE

"""Dead letters that go back from the broker's dead-letter queue to where each came from, without a stay in between.

Owns where each goes, and which stay: those whose origin is not known, those that their origin does not take, and those
that have died again meanwhile, which would go round in circles. They are left un-acked and go back to the queue when it
is over; the others are not held up. How a message is moved without
being lost is ``moving``'s.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from stompconsole.brokers import Dialect, Wanted
from stompconsole.brokers.depths.depth import queue_of
from stompconsole.delivery import envelope
from stompconsole.delivery.moving import TRIES, Move, MoveWork, move_of
from stompconsole.delivery.observer import SilentObserver
from stompconsole.delivery.runner import SubscriptionRunner
from stompconsole.delivery.sender import Sender
from stompconsole.delivery.settlement import Delivery
from stompconsole.delivery.specs import AckMode, BrokerSpec, SubscriptionSpec, SubscriptionState
from stompconsole.delivery.status import RunnerStatus
from stompconsole.delivery.taking import Quota
from stompconsole.errors import SessionClosed, StompConsoleError

PREFETCH = 500
BATCH = 256

IDLE_S = 2.0
"""How long nothing must come before the queue is taken to be empty: a broker gives what is ready within a round trip;
the rest is for one that reads from its disk."""

MAX_REFUSALS = 4
"""How often in a row the broker may refuse the subscription before there is no point in going on."""

BACK = "where they came from"
END_LIMIT_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Errand:
    """What to send back: from ``source``, ``limit`` at most (None: until it is empty). What has no known origin goes to
    ``unknown_to``, or stays. ``subscriptions``, by name of the consumer, are those whose dead letters are there: what
    the broker keeps for one of them has an address of its own. ``mark`` names the errand, the same for whoever goes on
    with it."""

    broker: BrokerSpec
    source: str
    subscriptions: Mapping[str, Wanted] = field(default_factory=dict)
    limit: int | None = None
    unknown_to: str = ""
    mark: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Going:
    """How far it is. Of those left ``skipped`` have no known origin, ``failed`` were refused and ``failed_again`` have
    been sent back and died once more; ``why`` is about the last of them. ``over`` says how it ended, empty while it
    goes on; ``failure`` that there was no point in going on."""

    moved: int = 0
    skipped: int = 0
    failed: int = 0
    failed_again: int = 0
    why: str = ""
    trouble: str = ""
    over: str = ""
    failure: bool = False


def origin_of(delivery: Delivery, source: Dialect) -> str:
    """Where a dead letter came from: as we wrote it down, else as its broker did; empty if neither."""
    return delivery.headers.get(envelope.ORIGIN, "") or source.origin(delivery.headers)


class ReturnWork(MoveWork):
    """Sends each delivery back to its origin."""

    def __init__(self, sender: Sender, errand: Errand, quota: Quota, ended: Callable[[], None]) -> None:
        super().__init__(sender, errand.broker, BACK, quota, ended)
        self._errand = errand
        self._left = threading.Lock()
        self._skipped: set[Delivery] = set()
        self._failed: set[Delivery] = set()
        self._failed_again: set[Delivery] = set()
        self._ends: dict[Delivery, int] = {}
        self.why = ""

    @property
    def remark(self) -> str:
        if not self._unconfirmed:
            return ""
        return f"{self._unconfirmed:,} times a message was sent and not confirmed: it may have arrived twice."

    def left(self) -> tuple[int, int, int]:
        """How many are left where they were, of those that are in hand now: without an origin, refused, dead again."""
        with self._left:
            # Those of a session that has ended come again.
            for among in (self._skipped, self._failed, self._failed_again):
                among.difference_update([each for each in among if not each.alive])
            return len(self._skipped), len(self._failed), len(self._failed_again)

    def _aim(self, delivery: Delivery, source: Dialect) -> Move | None:
        if self._errand.mark and delivery.headers.get(envelope.SENT_BACK) == self._errand.mark:
            self._leave(delivery, self._failed_again, f"{delivery.message_id} was sent back and has died again")
            return None
        target = self._target_of(delivery, source)
        if target and queue_of(target) != queue_of(self._errand.source):
            return move_of(delivery, target, source)
        why = f"it came from {target} itself" if target else "its origin is not known"
        self._leave(delivery, self._skipped, f"{delivery.message_id}: {why}")
        return None

    def _target_of(self, delivery: Delivery, source: Dialect) -> str:
        origin = origin_of(delivery, source)
        wanted = self._errand.subscriptions.get(delivery.headers.get(envelope.CONSUMER, ""))
        own = source.own_address(wanted) if wanted is not None and origin == wanted.destination else ""
        return own or origin or self._errand.unknown_to

    def _why_not(self, move: Move, way: Dialect) -> str:
        # What a broker itself calls an origin may be spelt as nobody else may.
        return super()._why_not(move, way) if move.target == self._errand.unknown_to else ""

    def _headers(self, move: Move, source: Dialect, target: Dialect) -> dict[str, str]:
        mark = {envelope.SENT_BACK: self._errand.mark} if self._errand.mark else {}
        return {**super()._headers(move, source, target), **mark}

    def _refused(self, move: Move, why: str) -> None:
        self._leave(move.delivery, self._failed, why)
        self._strikes = 0

    def _is_given_up(self, move: Move) -> bool:
        return move.delivery in self._failed

    def _blame(self, move: Move, error: StompConsoleError | None) -> None:
        ends = self._ends[move.delivery] = self._ends.get(move.delivery, 0) + isinstance(error, SessionClosed)
        if ends >= TRIES:
            self._refused(
                move, f"{move.target} ended the connection over {move.delivery.message_id} each time: {error}"
            )
            return
        super()._blame(move, error)

    def _leave(self, delivery: Delivery, among: set[Delivery], why: str) -> None:
        with self._left:
            among.add(delivery)
            self.why = why
        self._quota.give_back(delivery)


class Returning:
    """One errand under way: its subscription, its work, and whether it is over. ``start`` it once, then ``stop`` it."""

    def __init__(self, errand: Errand, sender: Sender, clock: Callable[[], float] = time.monotonic) -> None:
        self._errand = errand
        self._clock = clock
        self._quota = Quota(errand.limit, lambda: None)
        self._work = ReturnWork(sender, errand, self._quota, lambda: None)
        self._runner = SubscriptionRunner(self._subscription(), self._work, SilentObserver())
        self._taken = 0
        self._quiet_since = clock()

    def start(self) -> None:
        self._runner.start()

    def look(self) -> Going:
        """How far it is now. Called several times a second: silence is measured by it."""
        status = self._runner.status
        skipped, failed, again = self._work.left()
        left = skipped + failed + again
        over, failure = self._over(status, left)
        return Going(
            moved=self._quota.taken,
            skipped=skipped,
            failed=failed,
            failed_again=again,
            why=self._work.why if left else "",
            trouble="" if over else self._work.trouble or self._trouble(status),
            over=" ".join(filter(None, (over, self._work.remark if over else ""))),
            failure=failure,
        )

    def stop(self) -> int:
        """Begin nothing new, settle what is in flight, give the rest back; how many were moved in all. Blocking, for
        at most ``END_LIMIT_S`` seconds or so."""
        self._work.stop()
        self._runner.drain()
        if not self._runner.join(END_LIMIT_S):
            self._runner.abort("the time to end is over")
        return self._quota.taken

    def _subscription(self) -> SubscriptionSpec:
        return SubscriptionSpec(
            name=f"{self._errand.source} going back",
            broker=self._errand.broker,
            destination=self._errand.source,
            ack_mode=AckMode.CLIENT_INDIVIDUAL,
            threads=1,
            # More are fetched than may be moved: what stays must not keep the others from coming.
            prefetch=PREFETCH,
            batch=BATCH,
        )

    def _over(self, status: RunnerStatus, left: int) -> tuple[str, bool]:
        if self._quota.is_fulfilled:
            return "That is as many as were asked for.", False
        if self._work.failure:
            return self._work.failure, True
        if status.refusals >= MAX_REFUSALS:
            return status.reason, True
        if not self._is_quiet(status, left):
            return "", False
        if left >= PREFETCH:
            return f"{left:,} can't go back, and what is behind them can't be seen: name a destination for them.", False
        return "Nothing more came.", False

    def _is_quiet(self, status: RunnerStatus, left: int) -> bool:
        """Whether nothing has come for a while, and nothing but what stays is in hand."""
        busy = status.state is not SubscriptionState.RUNNING or status.in_flight > left
        if busy or self._quota.taken != self._taken:
            self._quiet_since = self._clock()
        self._taken = self._quota.taken
        return self._clock() - self._quiet_since >= IDLE_S

    def _trouble(self, status: RunnerStatus) -> str:
        return status.reason if status.state is SubscriptionState.BACKING_OFF else ""

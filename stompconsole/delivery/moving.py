"""Moving messages: each is sent to the target, and ACKed at the source when its RECEIPT is there. Never lost.

Many are in flight at once, one at first and one more with each that is confirmed: a target that takes nothing is found
out with a single message, which a broker that was only slow may then hold twice, and not with hundreds. What could not
be sent stays with the source, un-acked, and is tried again; one that is refused while no other is in flight ends it.
"""

from __future__ import annotations

import hashlib
import logging
import threading
import uuid
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, wait
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import dataclass, replace

from stompconsole.brokers import Dialect
from stompconsole.delivery import envelope
from stompconsole.delivery.sender import Sender
from stompconsole.delivery.settlement import Delivery
from stompconsole.delivery.specs import BrokerSpec
from stompconsole.delivery.taking import Quota
from stompconsole.errors import (
    BrokerBlocked,
    ConnectFailed,
    LoginRefused,
    ReceiptTimeout,
    SessionClosed,
    StompConsoleError,
)

logger = logging.getLogger(__name__)

WINDOW = 256
"""Messages that wait for their receipts at once, at most."""

TRIES = 4
"""How often in a row the target may refuse the login, or end the connection over a single message."""

FIRST_PAUSE_S = 0.5
RECEIPT_GRACE_S = 5.0
"""The sender says when a receipt is late; this much later we stop waiting for it to say so."""

LOOK_EVERY_S = 0.2
"""How often it is looked at, while a receipt is late, whether to go on waiting for it."""

_OF_ONE_DELIVERY = frozenset({"ack", "message-id", "redelivered", "subscription"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """A delivery on its way, where to, and what names it to a broker that drops what it has had already."""

    delivery: Delivery
    target: str
    duplicate_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sent:
    """A move whose SEND is written; ``alone`` with no other in flight. ``error`` is None until it has failed."""

    move: Move
    confirmed: Future[None]
    alone: bool
    error: StompConsoleError | None = None


class MoveWork:
    """Moves what comes to one destination of the sender's broker. See ``pipeline.Work``. ``target`` is what the pages
    and the log call it.

    ``failure`` says why it has ended by itself; ``ended`` is called then. ``stop`` ends it from outside.
    """

    def __init__(
        self, sender: Sender, broker: BrokerSpec, target: str, quota: Quota, ended: Callable[[], None]
    ) -> None:
        self.trouble = ""
        self.failure = ""
        self._sender = sender
        self._broker = broker
        self._target = target
        self._quota = quota
        self._ended = ended
        self._unconfirmed = 0
        self._stopped = threading.Event()
        self._window = 1
        self._strikes = 0
        self._pause_s = FIRST_PAUSE_S

    @property
    def remark(self) -> str:
        if not self._unconfirmed:
            return ""
        return f"{self._unconfirmed:,} times a message was sent and not confirmed: it may be in {self._target} twice."

    def stop(self) -> None:
        """Send nothing more; what waits goes back. From any thread."""
        self._stopped.set()

    def process(self, batch: Sequence[Delivery], dialect: Dialect) -> None:
        reserved = [delivery for delivery in batch if self._quota.reserve(delivery)]
        moves = [move for delivery in reserved if (move := self._aim(delivery, dialect)) is not None]
        while moves:
            moves = self._still_wanted(moves)
            if moves and (way := self._way()) is not None:
                moves = self._round(self._taken(moves, way), dialect, way)

    def close(self) -> None:
        return

    def _aim(self, delivery: Delivery, source: Dialect) -> Move | None:
        """The move of a delivery; None if it has been left where it was."""
        return move_of(delivery, self._target, source)

    def _taken(self, moves: Sequence[Move], way: Dialect) -> list[Move]:
        """Those whose target is one that its broker can have."""
        found = []
        for move in moves:
            if reason := self._why_not(move, way):
                self._refused(move, f"{move.target}: {reason}")
            else:
                found.append(move)
        return found

    def _why_not(self, move: Move, way: Dialect) -> str:
        """Why the target's broker can't have a destination of that name; empty if it can."""
        return way.refuses(move.target)

    def _refused(self, move: Move, why: str) -> None:
        """The target will never take this one: nor will it the others."""
        self._fail(why)

    def _is_given_up(self, move: Move) -> bool:
        """Whether this one has been left for good, while the others go on."""
        return False

    def _still_wanted(self, moves: Sequence[Move]) -> list[Move]:
        wanted = []
        for move in moves:
            if self._is_given_up(move):
                continue
            if self._may_send(move):
                wanted.append(move)
            else:
                self._quota.give_back(move.delivery)
        return wanted

    def _way(self) -> Dialect | None:
        """The target's dialect, or None after a pause when it can't be reached."""
        try:
            return self._sender.dialect()
        except ConnectFailed as error:
            self._strikes += isinstance(error, LoginRefused)
            self._wait(f"nothing can be sent to {self._target}: {error}")
            return None

    def _round(self, moves: Sequence[Move], source: Dialect, target: Dialect) -> list[Move]:
        """Send until something goes wrong or all are through; those that are still to be moved, in their order."""
        waiting, sent, failed = deque(moves), deque[_Sent](), list[_Sent]()
        while sent or (waiting and not failed):
            while waiting and not failed and len(sent) < self._window and self._may_send(waiting[0]):
                sent.append(self._send(waiting.popleft(), source, target))
            if not sent:
                break
            first = sent.popleft()
            if (error := self._outcome(first)) is None:
                self._get_on(first)
            else:
                failed.append(replace(first, error=error))
                self._unconfirmed += isinstance(error, ReceiptTimeout | SessionClosed)
        if failed:
            self._hold_on(failed[0])
        return [*(each.move for each in failed), *waiting]

    def _may_send(self, move: Move) -> bool:
        return move.delivery.wanted and not self._stopped.is_set()

    def _send(self, move: Move, source: Dialect, target: Dialect) -> _Sent:
        confirmed = self._sender.send(move.target, self._headers(move, source, target), move.delivery.body)
        return _Sent(move=move, confirmed=confirmed, alone=self._window == 1)

    def _outcome(self, sent: _Sent) -> StompConsoleError | None:
        """Its error, None once it is confirmed. One that is only late is waited for: sent again it would be there
        twice when the broker goes on."""
        error = _error_of(sent.confirmed, self._broker.receipt_timeout_s + RECEIPT_GRACE_S)
        while isinstance(error, ReceiptTimeout) and error.outcome is not None and self._may_send(sent.move):
            self._tell(f"nothing can be sent to {self._target}: {error}")
            if not wait([error.outcome], LOOK_EVERY_S).not_done:
                error = _error_of(error.outcome, 0.0)
        return error

    def _get_on(self, sent: _Sent) -> None:
        """One is through: the window opens by one, so that it doubles with each round trip."""
        self._quota.take(sent.move.delivery)
        self._window = min(self._window + 1, WINDOW)
        self._strikes, self._pause_s = 0, FIRST_PAUSE_S
        self._tell("")

    def _hold_on(self, sent: _Sent) -> None:
        """Something went wrong: the next one goes alone."""
        self._window = 1
        match sent.error:
            case ConnectFailed() | ReceiptTimeout() | BrokerBlocked() as error:
                self._wait(f"nothing can be sent to {self._target}: {error}")
            case error if sent.alone:
                self._blame(sent.move, error)
            case error:
                # With many in flight it is not certain which one it was about.
                logger.info("sending to %s: %s", self._target, error)

    def _blame(self, move: Move, error: StompConsoleError | None) -> None:
        """A message that was alone in flight did not get through."""
        self._strikes += 1
        if not isinstance(error, SessionClosed):
            self._refused(move, f"{move.target} does not take message {move.delivery.message_id}: {error}")
        else:
            # A broker that restarts looks like this as well, and RabbitMQ closes without a word when a queue is full.
            self._wait(
                f"the connection ended over a message sent to {move.target} (is it full, or the message too large?):"
                f" {error}"
            )

    def _wait(self, trouble: str) -> None:
        if self._strikes >= TRIES:
            self._fail(f"{trouble} ({TRIES} times in a row)")
            return
        self._tell(trouble)
        self._stopped.wait(self._pause_s)
        self._pause_s = min(2 * self._pause_s, self._broker.reconnect_pause_s)

    def _fail(self, failure: str) -> None:
        self.failure = failure
        self._tell("")
        self._stopped.set()
        self._ended()

    def _tell(self, trouble: str) -> None:
        if trouble and trouble != self.trouble:
            logger.warning("moving: %s", trouble)
        self.trouble = trouble

    def _headers(self, move: Move, source: Dialect, target: Dialect) -> dict[str, str]:
        given: Mapping[str, str] = move.delivery.headers
        if not is_dead_letter_queue(move.target):
            given = envelope.without_ours(given)
        headers = {**source.resend_headers(given), **target.send_headers(move.target)}
        if target.duplicate_id_header:
            headers[target.duplicate_id_header] = move.duplicate_id
        return headers


def is_dead_letter_queue(destination: str) -> bool:
    """Whether this is, by its name, a queue of dead letters: there a dead letter keeps why it died.

    Anywhere else it is an ordinary message again: with our headers on it, a consumer would take it for a replay.
    """
    return destination.rpartition("/")[2].startswith("DLQ.")


def _error_of(sent: Future[None], limit_s: float) -> StompConsoleError | None:
    try:
        error = sent.exception(limit_s)
    except FutureTimeout:
        return ReceiptTimeout()
    if error is not None and not isinstance(error, StompConsoleError):
        raise error
    return error


def move_of(delivery: Delivery, target: str, source: Dialect) -> Move:
    """The move of a delivery."""
    return Move(delivery=delivery, target=target, duplicate_id=_duplicate_id(delivery, source))


def _duplicate_id(delivery: Delivery, source: Dialect) -> str:
    """The same for the same message of the same queue, where the broker names messages; else for this delivery alone.

    Its headers are in it, the time among them: two messages must never share an id, since the second would be dropped
    with a RECEIPT. ActiveMQ's copies of one message share theirs, and a broker that has lost its data counts anew.
    """
    stable = source.stable_id(delivery.headers)
    if not stable:
        return uuid.uuid4().hex
    lasting = sorted(item for item in delivery.headers.items() if item[0] not in _OF_ONE_DELIVERY)
    return hashlib.sha256(repr((delivery.destination, stable, lasting)).encode()).hexdigest()

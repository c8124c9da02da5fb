"""The STOMP conversation of one client: what each frame does and how it is answered.

Owns the client's subscriptions and transactions. Refuses to know the socket, timers and where faults come from.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Protocol

from stompconsole import __version__
from stompconsole.devbroker import depths, header_values
from stompconsole.devbroker.faults import FaultState
from stompconsole.devbroker.frames import Frame, MalformedFrame, Version, encode
from stompconsole.devbroker.handshake import Agreement, agree
from stompconsole.devbroker.header_values import needed
from stompconsole.devbroker.messages import from_send
from stompconsole.devbroker.options import BrokerOptions
from stompconsole.devbroker.outlet import Outlet, Writer
from stompconsole.devbroker.queues import AckMode, Delivery, Subscription
from stompconsole.devbroker.refusals import AfterError, Refused
from stompconsole.devbroker.store import Settlement, Store, checked_destination
from stompconsole.devbroker.transactions import Transactions
from stompconsole.devbroker.transcripts import Transcripts, Way

logger = logging.getLogger(__name__)

SERVER = f"stompconsole-devbroker/{__version__}"
MAX_SUBSCRIPTIONS = 1_000
UNSUPPORTED_HEADERS = ("selector", "browser")
"""What would change the meaning of a SUBSCRIBE if it were passed over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What all sessions of a broker share."""

    options: BrokerOptions
    store: Store
    faults: FaultState
    transcripts: Transcripts


class Wire(Writer, Protocol):
    """The connection a session is held over."""

    def agreed(self, agreement: Agreement) -> None:
        """The client was let in."""

    def close(self) -> None:
        """Write what is to be written, then close."""

    def reset(self) -> None:
        """Cut the connection, nothing more is written."""


class Session:
    """One client from CONNECT to its end."""

    def __init__(self, number: int, wire: Wire, surroundings: Surroundings) -> None:
        self.number = number
        self._wire = wire
        self._options = surroundings.options
        self._store = surroundings.store
        self._faults = surroundings.faults
        self._transcript = surroundings.transcripts.open(number)
        self._transactions = Transactions(self._store)
        self._subscriptions: dict[str, Subscription] = {}
        self._version: Version | None = None

    def handle(self, frame: Frame) -> None:
        """Carry out a frame and answer it."""
        if self._transcript.wanted:
            self._transcript.add(Way.RECEIVED, frame.command, frame.headers)
        try:
            self._action(frame.command)(self, frame)
        except Refused as refusal:
            self._refuse(frame, refusal)
            return
        receipt = frame.headers.get("receipt")
        if receipt is not None and not self._faults.receipts_swallowed and frame.command not in {"CONNECT", "STOMP"}:
            self._say(Frame("RECEIPT", {"receipt-id": receipt}))
        if self._faults.drops_now(frame.command):
            self._wire.reset()
        elif frame.command == "DISCONNECT":
            self._wire.close()

    def must_wait(self, frame: Frame) -> bool:
        """Whether a fault has this frame, and all behind it, wait without an answer."""
        return self._faults.blocks(frame)

    def refuse_malformed(self, error: MalformedFrame) -> None:
        """Say what was wrong with the bytes, and close."""
        self._say_error(Refused(str(error), AfterError.CLOSE))

    def wake(self) -> None:
        """The connection takes messages again."""
        for subscription in self._subscriptions.values():
            subscription.source.wake()

    def end(self) -> None:
        """Give everything back. May be called twice."""
        self._transactions.abort_all()
        while self._subscriptions:
            _, subscription = self._subscriptions.popitem()
            self._store.unsubscribe(subscription)

    def _action(self, command: str) -> Callable[[Session, Frame], None]:
        action = self._ACTIONS.get(command)
        if action is None:
            raise Refused(f"{command[:40]!r} is no command of a STOMP client", AfterError.CLOSE)
        is_connect = action is Session._connect
        if self._version is None and not is_connect:
            raise Refused(f"a {command} frame came before CONNECT", AfterError.CLOSE)
        if self._version is not None and is_connect:
            raise Refused("the client is connected already", AfterError.CLOSE)
        return action

    def _connect(self, frame: Frame) -> None:
        self._faults.check_connect()
        agreement = agree(frame, self._options)
        self._version = agreement.version
        self._wire.agreed(agreement)
        headers = {
            "version": agreement.version.value,
            "session": f"devbroker-{self.number}",
            "server": SERVER,
            "heart-beat": agreement.heartbeat_header,
        }
        self._say(Frame("CONNECTED", headers))
        logger.debug("session %d: connected with STOMP %s", self.number, agreement.version)

    def _disconnect(self, _frame: Frame) -> None:
        self.end()

    def _send(self, frame: Frame) -> None:
        destination = checked_destination(needed(frame, "destination"))
        self._faults.check_send(destination)
        if destination == depths.QUESTIONS:
            self._store.send(depths.answer(frame, self._store))
            return
        message = from_send(frame, self._store.next_message_id())
        transaction = frame.headers.get("transaction")
        if transaction is None:
            self._store.check_room(message)
            self._store.send(message)
        else:
            self._transactions.send(transaction, message)

    def _subscribe(self, frame: Frame) -> None:
        identifier = needed(frame, "id")
        destination = checked_destination(needed(frame, "destination"))
        ack_mode, prefetch = header_values.ack_mode(frame), header_values.prefetch(frame)
        self._check_subscribe(frame, identifier)
        outlet = Outlet(self._wire, self._transcript, identifier, self._agreed_version, ack_mode)
        self._subscriptions[identifier] = self._store.subscribe(
            identifier,
            destination,
            ack_mode=ack_mode,
            prefetch=prefetch,
            version=self._agreed_version,
            receiver=outlet,
        )

    def _check_subscribe(self, frame: Frame, identifier: str) -> None:
        if identifier in self._subscriptions:
            raise Refused(f"the subscription {identifier!r} exists already on this connection")
        if len(self._subscriptions) >= MAX_SUBSCRIPTIONS:
            raise Refused(f"the connection has {MAX_SUBSCRIPTIONS} subscriptions, the most it may have")
        for name in UNSUPPORTED_HEADERS:
            if name in frame.headers:
                raise Refused(f"the development broker knows no {name!r}: leave the header out")

    def _unsubscribe(self, frame: Frame) -> None:
        identifier = needed(frame, "id")
        subscription = self._subscriptions.pop(identifier, None)
        if subscription is None:
            raise Refused(f"there is no subscription {identifier!r} on this connection")
        self._store.unsubscribe(subscription)

    def _settle(self, frame: Frame) -> None:
        settlement = Settlement(frame.command)
        deliveries = _covered(self._delivery(frame))
        transaction = frame.headers.get("transaction")
        if transaction is not None:
            self._transactions.settle(transaction, deliveries, settlement)
            return
        for delivery in deliveries:
            self._store.settle(delivery, settlement)

    def _delivery(self, frame: Frame) -> Delivery:
        if self._version is Version.V12:
            key = needed(frame, "id")
            subscription_id = key.partition("@")[2]
        else:
            key, subscription_id = needed(frame, "message-id"), needed(frame, "subscription")
        subscription = self._subscriptions.get(subscription_id)
        delivery = subscription.held.get(key) if subscription is not None else None
        if delivery is None or delivery.reserved:
            raise Refused(f"unexpected {frame.command}: this connection holds no message {key!r}")
        return delivery

    def _begin(self, frame: Frame) -> None:
        self._transactions.begin(needed(frame, "transaction"))

    def _commit(self, frame: Frame) -> None:
        self._transactions.commit(needed(frame, "transaction"))

    def _abort(self, frame: Frame) -> None:
        self._transactions.abort(needed(frame, "transaction"))

    @property
    def _agreed_version(self) -> Version:
        return self._version or Version.V12

    def _refuse(self, frame: Frame, refusal: Refused) -> None:
        if frame.command in {"SEND", "ACK", "NACK"}:
            self._transactions.doom(frame.headers.get("transaction", ""), refusal.text)
        self._say_error(refusal, frame.headers.get("receipt"))

    def _say_error(self, refusal: Refused, receipt: str | None = None) -> None:
        body = refusal.text.encode("utf-8", "replace")
        headers = {} if receipt is None else {"receipt-id": receipt}
        headers |= {"message": refusal.text, "content-type": "text/plain", "content-length": str(len(body))}
        self._say(Frame("ERROR", {**headers, **refusal.headers}, body))
        logger.info("session %d: ERROR %s", self.number, refusal.text)
        if refusal.after is AfterError.CLOSE:
            self.end()
            self._wire.close()

    def _say(self, frame: Frame) -> None:
        self._wire.write(encode(frame, self._agreed_version))
        if self._transcript.wanted:
            self._transcript.add(Way.SENT, frame.command, frame.headers)

    _ACTIONS: ClassVar[dict[str, Callable[[Session, Frame], None]]] = {
        "CONNECT": _connect,
        "STOMP": _connect,
        "DISCONNECT": _disconnect,
        "SEND": _send,
        "SUBSCRIBE": _subscribe,
        "UNSUBSCRIBE": _unsubscribe,
        "ACK": _settle,
        "NACK": _settle,
        "BEGIN": _begin,
        "COMMIT": _commit,
        "ABORT": _abort,
    }


def _covered(delivery: Delivery) -> list[Delivery]:
    """What settling this one settles: in mode ``client`` also all that was delivered before (STOMP 1.2, ACK)."""
    subscription = delivery.subscription
    if subscription.ack_mode is not AckMode.CLIENT:
        return [delivery]
    before = itertools.takewhile(lambda held: held.number <= delivery.number, subscription.held.values())
    return [held for held in before if not held.reserved]

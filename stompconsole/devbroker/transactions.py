"""Transactions of one connection: what was sent and settled in them, carried out at COMMIT, all or nothing.

A frame refused inside a transaction dooms it: its COMMIT is refused and undoes the rest, which ActiveMQ carries out.
Owns reservations: a message sent has its room, a delivery settled can't be settled twice, before COMMIT.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from stompconsole.devbroker.messages import Message
from stompconsole.devbroker.queues import Delivery
from stompconsole.devbroker.refusals import Refused
from stompconsole.devbroker.store import Settlement, Store

MAX_OPEN = 1_000
"""How many transactions one connection may have open."""


@dataclass(slots=True)
class Transaction:
    """What one transaction will do, in order."""

    steps: list[Message | tuple[Delivery, Settlement]] = field(default_factory=list)
    doomed_by: str = ""


class Transactions:
    """The open transactions of one connection, by the name its client gave them."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._open: dict[str, Transaction] = {}

    def begin(self, name: str) -> None:
        """Raises Refused if it is open already."""
        if name in self._open:
            raise Refused(f"the transaction {name!r} was already started")
        if len(self._open) >= MAX_OPEN:
            raise Refused(f"{MAX_OPEN} transactions are open on this connection, the most it may have")
        self._open[name] = Transaction()

    def send(self, name: str, message: Message) -> None:
        """Send at COMMIT. Raises Refused when there is no room."""
        transaction = self._find(name)
        self._store.reserve(message)
        transaction.steps.append(message)

    def settle(self, name: str, deliveries: list[Delivery], settlement: Settlement) -> None:
        """Settle at COMMIT."""
        transaction = self._find(name)
        for delivery in deliveries:
            delivery.reserved = True
            transaction.steps.append((delivery, settlement))

    def doom(self, name: str, reason: str) -> None:
        """Have the COMMIT of this transaction refused; an unknown one is left to COMMIT to refuse."""
        if name in self._open:
            self._open[name].doomed_by = reason

    def commit(self, name: str) -> None:
        """Raises Refused if the transaction is doomed, and undoes it."""
        transaction = self._find(name)
        del self._open[name]
        if transaction.doomed_by:
            self._undo(transaction)
            raise Refused(f"the transaction {name!r} was undone, a frame in it was refused: {transaction.doomed_by}")
        for step in transaction.steps:
            self._carry_out(step)

    def abort(self, name: str) -> None:
        """Undo: nothing was sent, and what was settled is held again by whoever held it."""
        transaction = self._find(name)
        del self._open[name]
        self._undo(transaction)

    def abort_all(self) -> None:
        """Undo every open transaction, as the end of the connection does."""
        for name in list(self._open):
            self.abort(name)

    def _find(self, name: str) -> Transaction:
        try:
            return self._open[name]
        except KeyError:
            raise Refused(f"no transaction {name!r} is open on this connection") from None

    def _carry_out(self, step: Message | tuple[Delivery, Settlement]) -> None:
        if isinstance(step, Message):
            self._store.unreserve(step)
            self._store.send(step)
        else:
            self._store.settle(*step)

    def _undo(self, transaction: Transaction) -> None:
        for step in transaction.steps:
            if isinstance(step, Message):
                self._store.unreserve(step)
            else:
                self._store.give_up(step[0])

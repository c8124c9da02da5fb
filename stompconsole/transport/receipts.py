"""The receipts a session awaits: which frame a RECEIPT or an ERROR is about, and that none is awaited for ever."""

from __future__ import annotations

import itertools
import logging
import threading

from stompconsole.errors import BrokerRefused, SessionClosed
from stompconsole.transport.outcome import Told

logger = logging.getLogger(__name__)


class Receipts:
    """Who is to be told, by receipt id. Thread-safe; each is told by whoever takes it out, outside the lock."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ids = itertools.count(1)
        self._awaited: dict[str, Told] = {}
        self._by_name: set[str] = set()
        self._suspects: set[str] = set()
        self._accusations: list[str] = []
        self._end: str | None = None

    def expect(self, told: Told, *, by_name: bool = False) -> str:
        """A new receipt id. After the end it is empty, and what is told is SessionClosed, at once. ``by_name``: no
        ERROR is about it but one that says so."""
        with self._lock:
            if self._end is None:
                receipt = f"r{next(self._ids)}"
                self._awaited[receipt] = told
                if by_name:
                    self._by_name.add(receipt)
                return receipt
        _tell(told, SessionClosed(self._end))
        return ""

    def forget(self, receipt: str) -> Told | None:
        """Take one out."""
        with self._lock:
            self._suspects.discard(receipt)
            self._by_name.discard(receipt)
            return self._awaited.pop(receipt, None)

    def confirm(self, receipt: str) -> None:
        """A RECEIPT came. One that nobody awaits says nothing: RabbitMQ sends one after the ERROR for a SUBSCRIBE."""
        told = self.forget(receipt)
        if told is not None:
            _tell(told, None)
        if self._accusations:
            self._convict()

    def refuse(self, receipt: str | None, reason: str) -> None:
        """An ERROR came, for the frame with this receipt, or without saying for which."""
        if receipt is not None:
            if (told := self.forget(receipt)) is not None:
                _tell(told, BrokerRefused(reason))
            return
        with self._lock:
            self._suspects |= self._awaited.keys() - self._by_name
            self._accusations.append(reason)
        self._convict()

    def end(self, reason: str) -> None:
        """Fail all that are awaited, and all to come."""
        with self._lock:
            self._end = reason
            awaited, self._awaited = list(self._awaited.values()), {}
        for told in awaited:
            _tell(told, SessionClosed(reason))

    def _convict(self) -> None:
        """Refuse what an ERROR that named no frame must have meant.

        RabbitMQ's names none, and overtakes receipts. Once no more of what was awaited then is left unconfirmed
        than there were ERRORs, it is those.
        """
        with self._lock:
            if len(self._suspects) > len(self._accusations):
                return
            refused = [self._awaited.pop(receipt) for receipt in self._suspects if receipt in self._awaited]
            reason = "; ".join(dict.fromkeys(self._accusations))
            self._suspects, self._accusations = set(), []
        for told in refused:
            _tell(told, BrokerRefused(reason))


def _tell(told: Told, error: BaseException | None) -> None:
    try:
        told(error)
    except Exception:  # one that fails must not keep the others from being told
        logger.exception("telling what became of a frame failed")

"""The receipts a session awaits: which frame a RECEIPT or an ERROR is about, and that none is awaited for ever."""

from __future__ import annotations

import itertools
import threading
from concurrent.futures import Future

from stompconsole.errors import BrokerRefused, SessionClosed


class Receipts:
    """Futures by receipt id. Thread-safe; each future is finished by whoever takes it out, outside the lock."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ids = itertools.count(1)
        self._awaited: dict[str, Future[None]] = {}
        self._suspects: set[str] = set()
        self._accusations: list[str] = []
        self._end: str | None = None

    def expect(self) -> tuple[str, Future[None]]:
        """A new receipt id and its future; after the end a future that has failed with SessionClosed."""
        future: Future[None] = Future()
        # Begun, as futures call it: nobody can cancel what the broker may have carried out.
        future.set_running_or_notify_cancel()
        with self._lock:
            receipt = f"r{next(self._ids)}"
            if self._end is None:
                self._awaited[receipt] = future
                return receipt, future
        future.set_exception(SessionClosed(self._end))
        return receipt, future

    def forget(self, receipt: str) -> Future[None] | None:
        """Take one out."""
        with self._lock:
            self._suspects.discard(receipt)
            return self._awaited.pop(receipt, None)

    def confirm(self, receipt: str) -> None:
        """A RECEIPT came. One that nobody awaits says nothing: RabbitMQ sends one after the ERROR for a SUBSCRIBE."""
        future = self.forget(receipt)
        if future is not None:
            future.set_result(None)
        if self._accusations:
            self._convict()

    def refuse(self, receipt: str | None, reason: str) -> None:
        """An ERROR came, for the frame with this receipt, or without saying for which."""
        if receipt is not None:
            if (future := self.forget(receipt)) is not None:
                future.set_exception(BrokerRefused(reason))
            return
        with self._lock:
            self._suspects |= self._awaited.keys()
            self._accusations.append(reason)
        self._convict()

    def end(self, reason: str) -> None:
        """Fail all that are awaited, and all to come."""
        with self._lock:
            self._end = reason
            awaited, self._awaited = list(self._awaited.values()), {}
        for future in awaited:
            future.set_exception(SessionClosed(reason))

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
        for future in refused:
            future.set_exception(BrokerRefused(reason))

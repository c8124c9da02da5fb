"""SENDs that a broker stores together or not at all: one receipt for all of them, and one write to its disk.

On ActiveMQ a SEND with a receipt waits for the disk by itself, and those behind it wait for it; in a transaction only
the last and the COMMIT do. A SEND without a receipt that is refused is told by an ERROR that names no frame, mostly
before the receipt of the last one but at times after the answer to the COMMIT, and makes the COMMIT fail unless the
broker is set up otherwise (``rollbackOnlyOnAsyncException``). So the COMMIT waits for that receipt: after an ERROR it
is an ABORT instead. Which of them was refused is found out by whoever sends them again, with a receipt for each.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from stompconsole.brokers import Dialect
from stompconsole.delivery.outbox import Outbox
from stompconsole.errors import BrokerRefused, ReceiptTimeout, RolledBack, SessionClosed
from stompconsole.transport import frames
from stompconsole.transport.outcome import Told
from stompconsole.transport.session import Session

ONE_IS_REFUSED = "one of the messages in a transaction was refused, so none of them was sent"


class Transaction:
    """One on its way over a session. ``begin`` and ``end`` are for the sender's thread, which writes; ``taken(self)``
    is called on the io thread once the broker has all of them, and asks for ``end``; ``told`` once with what became of
    it: RolledBack and BrokerRefused where nothing was stored, ReceiptTimeout and SessionClosed where that is not known.
    """

    def __init__(
        self, session: Session, dialect: Dialect, name: str, taken: Callable[[Transaction], None], told: Told
    ) -> None:
        self._session = session
        self._dialect = dialect
        self._name = {"transaction": name}
        self._taken = taken
        self._told = told
        self._refused = False
        # Of one that began before, perhaps: then this one is rolled back too, and its messages are sent again.
        self._errors_before = session.unnamed_errors

    def begin(self, outbox: Outbox, messages: Sequence[tuple[Mapping[str, str], bytes]]) -> None:
        """BEGIN and the SENDs. Raises ConfigurationError, and writes nothing, where one can't be encoded."""
        *most, (headers, body) = messages
        encoded = [frames.encode("SEND", {**given, **self._name}, content) for given, content in most]
        last = self._session.prepare("SEND", {**headers, **self._name}, body, self._are_taken, by_name=True)
        for frame in (frames.encode("BEGIN", self._name), *encoded, last):
            outbox.put(self._session, frame)

    def end(self, outbox: Outbox) -> None:
        """COMMIT if all were taken, else ABORT."""
        if (closed := self._session.close_reason) is not None:
            self._told(RolledBack(closed))
        elif self._refused or self._has_erred:
            outbox.put(self._session, frames.encode("ABORT", self._name))
            self._told(BrokerRefused(ONE_IS_REFUSED))
        else:
            outbox.put(self._session, self._session.prepare("COMMIT", self._name, b"", self._committed, by_name=True))

    @property
    def _has_erred(self) -> bool:
        return self._session.unnamed_errors != self._errors_before

    def _are_taken(self, error: BaseException | None) -> None:
        if isinstance(error, SessionClosed):
            self._told(RolledBack(str(error)))
            return
        self._refused = error is not None
        self._taken(self)

    def _committed(self, error: BaseException | None) -> None:
        if isinstance(error, BrokerRefused):
            # Rolled back by the broker on account of one, whose ERROR may be yet to come; else its store has failed.
            is_rolled_back = self._has_erred or self._dialect.has_rolled_back(str(error))
            self._told(BrokerRefused(f"{ONE_IS_REFUSED}: {error}") if is_rolled_back else ReceiptTimeout(str(error)))
        elif error is None and self._has_erred:
            self._told(ReceiptTimeout("the broker refused one of the messages in a transaction and stored the others"))
        else:
            self._told(error)

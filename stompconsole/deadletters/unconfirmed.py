"""What a replay has sent and has no receipt for, and so what it can say of each of its messages."""

from __future__ import annotations

import uuid
from concurrent.futures import Future
from dataclasses import dataclass, field

from stompconsole.brokers import Dialect
from stompconsole.deadletters.portions import Outgoing
from stompconsole.errors import ReceiptTimeout, RolledBack, SessionClosed, StompConsoleError


@dataclass(slots=True)
class Results:
    """What became of a portion. Those neither sent nor refused stay waiting; ``trouble`` by broker says why,
    ``stuck_at`` is the item that was alone in flight when trouble came.

    ``in_doubt`` were written and are not confirmed; the others that stay waiting the broker has certainly not been
    given. Of those sent, ``repeated`` may have arrived twice, and ``cleared`` were in doubt and did not.
    """

    sent: list[uuid.UUID] = field(default_factory=list)
    in_doubt: list[uuid.UUID] = field(default_factory=list)
    repeated: list[uuid.UUID] = field(default_factory=list)
    cleared: list[uuid.UUID] = field(default_factory=list)
    refused: dict[uuid.UUID, str] = field(default_factory=dict)
    trouble: dict[str, str] = field(default_factory=dict)
    stuck_at: int | None = None


class Unconfirmed:
    """Messages of one replay: those whose receipt is late, and may yet come; those of which nothing more will come; and
    those that were said to be in doubt."""

    def __init__(self) -> None:
        self._late: dict[uuid.UUID, Future[None]] = {}
        self._unknown: set[uuid.UUID] = set()
        self._told: set[uuid.UUID] = set()

    def learn(self, message: Outgoing, error: StompConsoleError | None) -> None:
        """Keep in mind what may be with the broker though it is not confirmed."""
        match error:
            case ReceiptTimeout(outcome=Future() as outcome):
                self._late[message.dead_letter_id] = outcome
            case RolledBack():
                pass
            case ReceiptTimeout() | SessionClosed():
                self._unknown.add(message.dead_letter_id)

    def is_late(self, message: Outgoing) -> bool:
        """Whether its receipt may yet come: it must not be sent again."""
        return message.dead_letter_id in self._late

    def outcome_of(self, message: Outgoing) -> Future[None]:
        """What will become of one that is late."""
        return self._late[message.dead_letter_id]

    def has_come(self, message: Outgoing) -> None:
        """Of one that was late it is known now."""
        del self._late[message.dead_letter_id]

    def confirm(self, message: Outgoing, dialect: Dialect, results: Results) -> None:
        """Its receipt has come."""
        pk = message.dead_letter_id
        results.sent.append(pk)
        before = pk in self._unknown or (message.in_doubt and pk not in self._told)
        if before and not dialect.duplicate_id_header:
            results.repeated.append(pk)
        elif message.in_doubt or pk in self._told:
            results.cleared.append(pk)
        self._unknown.discard(pk)

    def complete(self, results: Results) -> Results:
        """The same with what is in doubt, and was not said to be before."""
        unknown = self._late.keys() | self._unknown
        results.in_doubt = list(unknown - self._told - {*results.sent, *results.refused})
        self._told.update(results.in_doubt)
        return results

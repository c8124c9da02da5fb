"""Messages that are sent when a database transaction commits, and not at all when it is rolled back.

Each ``publish()`` is an ``on_commit`` hook of its own: Django drops those of a savepoint that is rolled back, runs the
others in order, and ``captureOnCommitCallbacks`` finds them. Those that follow each other in one savepoint wait for
their receipts together: the last of them waits for all.
"""

from __future__ import annotations

import logging

from django.db import transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from stompconsole.delivery.specs import BrokerSpec
from stompconsole.errors import BrokerError, ConfigurationError
from stompconsole.publishing.brokers import broker_spec
from stompconsole.publishing.messages import Message
from stompconsole.publishing.pipelining import Outgoing, Pipeline, counting

logger = logging.getLogger(__name__)

MAX_NAMED = 20
"""Messages that the log names when some are missing."""


def wait_for_commit(outgoing: Outgoing, using: str | None) -> bool:
    """Have them sent once the transaction of the database ``using`` commits; false if there is none to wait for.

    Raises ConfigurationError where transactions are managed by hand: nobody says then when one commits.
    """
    connection = transaction.get_connection(using)
    if connection.in_atomic_block:
        transaction.on_commit(_Hook(outgoing, _hook_before(connection)), using=using)
        return True
    if not connection.get_autocommit():
        raise ConfigurationError(
            f"autocommit of the database {connection.alias!r} is off, and Django does not tell when a transaction"
            " commits that is managed by hand: use transaction.atomic(), or when=When.AT_ONCE"
        )
    return False


def spec_here(broker: str, using: str | None) -> BrokerSpec:
    """The row of a broker, read once for messages that follow each other in one transaction. Raises as
    ``broker_spec``."""
    before = _hook_before(transaction.get_connection(using))
    known = before.batch.brokers.get(broker) if before else None
    return known or broker_spec(broker)


def waiting_for_commit(connection: BaseDatabaseWrapper) -> tuple[list[Message], int]:
    """What would be sent if the transaction committed now, and how many functions of the team's it
    would call."""
    functions = [function for _, function, *_ in connection.run_on_commit]
    hooks = [function for function in functions if isinstance(function, _Hook)]
    # Saving our own rows nudges the workers on commit, which is nobody's concern.
    others = [each for each in functions if not getattr(each, "__module__", "").startswith("stompconsole.")]
    return [message for hook in hooks for message in hook.messages], len(others)


class _Batch:
    """Hooks that follow each other: what they send, over which brokers, and which of it is confirmed."""

    def __init__(self) -> None:
        self.brokers: dict[str, BrokerSpec] = {}
        self.messages: list[Message] = []
        self.pipeline = Pipeline()

    @property
    def unconfirmed(self) -> list[Message]:
        return self.messages[self.pipeline.confirmed :]


class _Hook:
    """One ``publish()`` of a transaction."""

    def __init__(self, outgoing: Outgoing, before: _Hook | None) -> None:
        self.batch: _Batch = before.batch if before else _Batch()
        self.is_last = True
        self.has_run = False
        self._outgoing = outgoing
        self.messages = outgoing.messages
        self.batch.messages += outgoing.messages
        self.batch.brokers[outgoing.broker.name] = outgoing.broker
        if before:
            before.is_last = False

    def __call__(self) -> None:
        self.has_run = True
        try:
            with counting(self.batch.pipeline, len(self.batch.messages)):
                self.batch.pipeline.send(self._outgoing)
                if self.is_last:
                    self.batch.pipeline.confirm()
        except BrokerError as error:
            self._log(error)
            raise

    def _log(self, error: BrokerError) -> None:
        missing = self.batch.unconfirmed
        logger.error(
            "the transaction is committed, but publishing to %s failed: %s",
            ", ".join(dict.fromkeys(message.destination for message in missing)),
            error,
            extra={
                "destination": missing[0].destination,
                "correlation_ids": [message.correlation_id for message in missing[:MAX_NAMED]],
            },
        )


def _hook_before(connection: BaseDatabaseWrapper) -> _Hook | None:
    """The hook that the next one follows, if nothing can come between the two and both share one fate.

    Django has no word for it: its list of (savepoints, function, …) is what there is. One that has run is left over in
    a test's transaction, where hooks are run before there is a commit.
    """
    match connection.run_on_commit[-1:]:
        case [(savepoints, _Hook() as before, *_)] if savepoints == set(connection.savepoint_ids):
            return None if before.has_run else before
    return None

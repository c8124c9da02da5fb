"""Connections that never commit: every one that this process opens is in a transaction from its birth on, whichever
thread opens it, and the end of the process rolls it back.

Owns what a handler must not do to get out of it. Works on Django's connections: what a handler opens by a driver of its
own is not held. For a process that is about to end; there is no way back.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created

from stompconsole.errors import StompConsoleError
from stompconsole.publishing import withholding
from stompconsole.publishing.committing import waiting_for_commit

_ENDS_A_TRANSACTION = re.compile(
    r"\s*(commit|end|abort|rollback(?!\s+to)|rollback\s+and|prepare\s+transaction|start\s+transaction|begin)\b",
    re.IGNORECASE,
)


class NotTriable(StompConsoleError):
    """Raised where going on would commit what must be rolled back."""


class _Refused:
    """What was refused in this process: a handler may swallow the exception."""

    def __init__(self) -> None:
        self.reasons: list[str] = []


_refused = _Refused()


def never_commit() -> None:
    """From now on no connection of this process commits anything."""
    connections.close_all()
    for connection in connections.all():
        if connection.vendor == "sqlite":
            # A handler that reads and then writes would else fail whenever anybody has written in between, and only
            # because of the transaction around it.
            connections.settings[connection.alias].setdefault("OPTIONS", {})["transaction_mode"] = "IMMEDIATE"
        del connections[connection.alias]
    connection_created.connect(_hold, weak=False, dispatch_uid="stompconsole.trying")
    create = connections.create_connection
    connections.create_connection = lambda alias: _born(create(alias))  # type: ignore[method-assign]


def refusals() -> list[str]:
    """What was refused so far, a sentence each."""
    return list(dict.fromkeys(_refused.reasons))


def conclude() -> Iterator[str]:
    """What a commit would do in this thread now: constraints that wait for it are checked, what is to be published is
    noted, other functions are told in sentences. Raises IntegrityError as the commit would."""
    for connection in connections.all(initialized_only=True):
        if connection.connection is None or connection.needs_rollback:
            continue
        # SQLite would read every table for it.
        if connection.features.can_defer_constraint_checks and connection.vendor != "sqlite":
            connection.check_constraints()
        messages, others = waiting_for_commit(connection)
        withholding.note(messages)
        if others:
            calls = "1 function was" if others == 1 else f"{others} functions were"
            yield f"{calls} to be called on commit (transaction.on_commit), and not called."


def _born(connection: BaseDatabaseWrapper) -> BaseDatabaseWrapper:
    """Connected when it is first looked at: ``atomic`` and ``on_commit`` look whether there is a transaction before
    they connect, and a block that was entered before would commit."""
    # Known before it connects: whoever hears of a new connection may ask for it by its name.
    connections[connection.alias] = connection
    connection.ensure_connection()
    return connection


def _hold(connection: BaseDatabaseWrapper, **_: Any) -> None:
    """Begin the transaction by hand and not by ``atomic``: so ``durable`` blocks run inside of it as they do in
    production, and no block of the handler's takes itself for the outermost."""
    if connection.vendor == "mysql" and not connection.features.supports_transactions:
        connection.close()
        _refuse(f"The database {connection.alias} can't roll back: its tables know no transactions.")
    connection.set_autocommit(False, force_begin_transaction_with_broken_autocommit=True)
    connection.in_atomic_block = True
    connection.execute_wrappers.append(_guard)
    # Should anything get out of the block after all, it is here that it ends.
    connection._commit = _no_commit  # type: ignore[attr-defined]  # noqa: SLF001
    connection._set_autocommit = _no_autocommit  # type: ignore[attr-defined]  # noqa: SLF001


def _guard(execute: Callable[..., Any], sql: Any, params: Any, many: Any, context: Any) -> Any:
    found = _ENDS_A_TRANSACTION.match(str(sql))
    if found is not None:
        _refuse(f"The handler runs {found[1].upper()} by itself, which could not be rolled back.")
    return execute(sql, params, many, context)


def _no_commit() -> None:
    _refuse("The handler commits by itself, which could not be rolled back.")


def _no_autocommit(autocommit: bool) -> None:  # noqa: FBT001 - as Django calls it
    if autocommit:
        _refuse("The handler ends its transaction by itself, which could not be rolled back.")


def _refuse(why: str) -> None:
    _refused.reasons.append(why)
    raise NotTriable(why)

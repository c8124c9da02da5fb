"""``publish`` and its kin: a message to a destination of a broker, confirmed by the broker before the call returns,
or before the transaction that it is part of ends."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from typing import Any

from asgiref.sync import sync_to_async

from stompconsole.publishing import messages
from stompconsole.publishing.brokers import DEFAULT
from stompconsole.publishing.committing import spec_here, wait_for_commit
from stompconsole.publishing.pipelining import Outgoing, send_now, sending


class When(enum.Enum):
    """When a message that is published inside a database transaction is sent."""

    AFTER_COMMIT = "after commit"
    """Once the transaction has committed, and not at all if it is rolled back."""

    AT_ONCE = "at once"
    """In the call, whatever becomes of the transaction."""


def publish(
    destination: str,
    body: Any,
    *,
    headers: Mapping[str, Any] | None = None,
    broker: str = DEFAULT,
    timeout_s: float | None = None,
    when: When = When.AFTER_COMMIT,
    using: str | None = None,
) -> None:
    """Send one message, persistent, and wait until the broker has it.

    ``body`` is sent as JSON, ``bytes`` as they are, and so is text under a ``content-type`` of yours that is not JSON.
    The ``correlation-id`` is yours, else that of the message or the HTTP request in hand, else a new one; headers that
    brokers or the console reserve are left out. ``broker`` is the name of a row; ``default`` is the one that the
    STOMP_* settings describe. ``timeout_s`` shortens the broker's receipt time limit, in seconds; connecting has its
    own.

    Inside a transaction of the database ``using`` the message is sent after the commit, and not at all after a
    rollback; messages that are published one after the other share the wait for their receipts. An error is then
    logged and raised out of the block: the data are stored, the message may be missing, and only you know what that
    means. ``when=When.AT_ONCE`` does not wait for the commit. In async code use ``apublish``.

    Raises ConnectFailed and BrokerRefused: the broker does not have it. ReceiptTimeout and SessionClosed: it may or
    may not have it. ConfigurationError: no such broker, or a header that can't be sent.
    """
    publish_many(destination, [body], headers=headers, broker=broker, timeout_s=timeout_s, when=when, using=using)


def publish_many(
    destination: str,
    bodies: Iterable[Any],
    *,
    headers: Mapping[str, Any] | None = None,
    broker: str = DEFAULT,
    timeout_s: float | None = None,
    when: When = When.AFTER_COMMIT,
    using: str | None = None,
) -> None:
    """Send messages without waiting for each receipt before the next; returns when the broker has them all.

    As ``publish`` otherwise; where no id is in hand each gets one of its own. An error says how many were confirmed.
    The others may or may not be with the broker.
    """
    outgoing = _prepared(
        destination, bodies, headers=headers, broker=broker, timeout_s=timeout_s, when=when, using=using
    )
    if outgoing is not None:
        send_now(outgoing)


async def apublish(
    destination: str,
    body: Any,
    *,
    headers: Mapping[str, Any] | None = None,
    broker: str = DEFAULT,
    timeout_s: float | None = None,
    when: When = When.AFTER_COMMIT,
    using: str | None = None,
) -> None:
    """``publish`` for async code: other tasks run while the broker is waited for. The broker's row is read as Django's
    async ORM reads rows. Cancelled, the message may have been sent or not."""
    await apublish_many(
        destination, [body], headers=headers, broker=broker, timeout_s=timeout_s, when=when, using=using
    )


async def apublish_many(
    destination: str,
    bodies: Iterable[Any],
    *,
    headers: Mapping[str, Any] | None = None,
    broker: str = DEFAULT,
    timeout_s: float | None = None,
    when: When = When.AFTER_COMMIT,
    using: str | None = None,
) -> None:
    """``publish_many`` for async code."""
    outgoing = await sync_to_async(_prepared)(
        destination, bodies, headers=headers, broker=broker, timeout_s=timeout_s, when=when, using=using
    )
    if outgoing is not None:
        await sending(outgoing)


def _prepared(
    destination: str,
    bodies: Iterable[Any],
    *,
    headers: Mapping[str, Any] | None,
    broker: str,
    timeout_s: float | None,
    when: When,
    using: str | None,
) -> Outgoing | None:
    """What is to be sent now; None if it waits for a commit."""
    made = tuple(messages.message(destination, body, headers or {}) for body in bodies)
    outgoing = Outgoing(broker=spec_here(broker, using), messages=made, timeout_s=timeout_s)
    match when:
        case When.AT_ONCE:
            return outgoing
        case When.AFTER_COMMIT:
            return None if wait_for_commit(outgoing, using) else outgoing

"""The one way an audit entry is written: what an operator did, or what befell a consumer.

Refuses to be skipped: an entry is part of the transaction of the act itself, so neither is there without the
other. It never carries secrets or bodies; ``data`` holds names and counts.
"""

from __future__ import annotations

import enum
import ipaddress
import logging
from typing import TYPE_CHECKING, Any

from stompconsole.models import AuditEntry, Consumer

if TYPE_CHECKING:
    from django.contrib.auth.models import AnonymousUser, User

logger = logging.getLogger(__name__)

NAMELESS = "unknown"


class Action(enum.StrEnum):
    """The vocabulary of the audit; ``record`` takes other words too, pages know these."""

    BROKER_ADDED = "broker added"
    BROKER_CHANGED = "broker changed"
    BROKER_DELETED = "broker deleted"
    BROKER_SWITCHED = "broker switched"
    CONSUMER_ADDED = "consumer added"
    CONSUMER_CHANGED = "consumer changed"
    CONSUMER_DELETED = "consumer deleted"
    CONSUMER_PAUSED = "consumer paused"
    CONSUMER_RESUMED = "consumer resumed"
    CONSUMER_STATE = "consumer state"
    CONSUMER_BREAKER = "consumer breaker"
    CONSUMER_TRIED = "consumer tried now"
    REPLAY_CREATED = "replay created"
    REPLAY_PAUSED = "replay paused"
    REPLAY_RESUMED = "replay resumed"
    REPLAY_CHANGED = "replay changed"
    REPLAY_STOPPED = "replay stopped"
    REPLAY_CANCELLED = "replay cancelled"
    REPLAY_DONE = "replay done"
    TRIAL_STARTED = "trial started"
    TRIAL_CANCELLED = "trial cancelled"
    TRIAL_DONE = "trial done"
    BROKER_REPLAY_CREATED = "broker replay created"
    BROKER_REPLAY_CANCELLED = "broker replay cancelled"
    BROKER_REPLAY_DONE = "broker replay done"
    BROKER_LETTERS_SHOWN = "broker letters shown"
    GROUP_CHANGED = "failure group changed"
    RETRIES_SENT = "retries sent now"
    RETRIES_CANCELLED = "retries cancelled"
    RETRIES_CANCEL_STOPPED = "cancel of retries stopped"
    RETRIES_RESTORED = "retries scheduled anew"
    DISCARDED = "dead letters discarded"
    DISCARD_STOPPED = "discard stopped"
    PURGED = "dead letters purged"
    EDITED = "dead letter edited"
    IMPORTED = "dead letters imported"
    REDACTED = "dead letters redacted"
    DISCARD_UNDONE = "discard undone"
    WORKER_STARTED = "worker started"
    WORKER_STOPPED = "worker stopped"
    SLOT_TAKEN_OVER = "slot taken over"


def record(
    action: str,
    target: str,
    *,
    actor: User | AnonymousUser | None,
    actor_name: str = "",
    consumer: Consumer | None = None,
    detail: str = "",
    data: dict[str, Any] | None = None,
    remote_address: str | None = None,
) -> AuditEntry:
    """Write one entry and one log line. ``target`` in words; ``data`` must fit into JSON.

    ``actor`` is the user, None for an event of a worker, whose name is then ``actor_name``.
    """
    user = actor if actor is not None and actor.is_authenticated else None
    entry = AuditEntry.objects.create(
        action=action,
        target=target[:300],
        actor=user,
        actor_name=(actor_name or (user.get_username() if user else NAMELESS))[:150],
        consumer=consumer if consumer is not None and consumer.pk else None,
        detail=detail,
        data=data or {},
        remote_address=_address(remote_address),
    )
    logger.info(
        "%s: %s, by %s",
        entry.action,
        entry.target,
        entry.actor_name,
        extra={"audit_id": entry.pk, "action": entry.action, "target": entry.target, "actor": entry.actor_name},
    )
    return entry


def _address(text: str | None) -> str | None:
    """An IP address as it is, None for anything else: behind a unix socket there is none."""
    try:
        return str(ipaddress.ip_address(text or ""))
    except ValueError:
        return None

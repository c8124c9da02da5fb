"""What every act of an operator on dead letters shares: who acts, the ids that are meant, the entry in the audit."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from stompconsole import audit
from stompconsole.audit import Action
from stompconsole.models import Consumer

if TYPE_CHECKING:
    from django.contrib.auth.models import User

AUDITED_IDS = 100
"""Ids an entry of the audit names at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class By:
    """Who acts, why and from where."""

    actor: User | None
    reason: str = ""
    remote_address: str | None = None
    actor_name: str = ""

    @property
    def name(self) -> str:
        """As the audit shows it."""
        return self.actor.get_username() if self.actor is not None else self.actor_name or "the system"


def chosen_ids(ids: Iterable[uuid.UUID]) -> list[uuid.UUID]:
    """Each once. Sorted: two operators with overlapping choices must take them in the same order."""
    return sorted(set(ids))


def grown(expected: int, found: int) -> str:
    """Why nothing was done: more match than was confirmed."""
    return f"{found} match now, {expected} were counted. Nothing was changed: look again and confirm the new number."


def record(action: Action, target: str, by: By, data: dict[str, Any], *, consumer: str = "") -> None:
    """The act's entry in the audit, in its transaction."""
    audit.record(
        action,
        target,
        actor=by.actor,
        actor_name=by.name,
        consumer=Consumer.objects.filter(name=consumer).first() if consumer else None,
        detail=by.reason,
        data=data,
        remote_address=by.remote_address,
    )

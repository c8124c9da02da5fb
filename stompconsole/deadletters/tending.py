"""What people say of a failure group: who looks after it, a note, a ticket, not before when, that it is expected.

Each act is one transaction and is audited with what it was before. Owns no permissions: views check them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from django.core.exceptions import ValidationError
from django.db import transaction

from stompconsole import audit
from stompconsole.audit import Action
from stompconsole.deadletters import storable
from stompconsole.models import Expected, FailureGroup

if TYPE_CHECKING:
    from django.contrib.auth.models import User


@dataclass(frozen=True, slots=True, kw_only=True)
class Care:
    """What is said of a group. ``snoozed_until`` is aware; ``ticket`` a URL; ``expected`` what becomes by itself."""

    owner: User | None = None
    note: str = ""
    ticket: str = ""
    snoozed_until: datetime | None = None
    expected: Expected = Expected.NO


def care_of(group: FailureGroup) -> Care:
    """What is said of a group now."""
    return Care(
        owner=group.owner,
        note=group.note,
        ticket=group.ticket,
        snoozed_until=group.snoozed_until,
        expected=Expected(group.expected),
    )


@transaction.atomic
def tend(group_id: int, care: Care, *, actor: User | None, remote_address: str | None = None) -> Mapping[str, str]:
    """Say this of a group; returns what is wrong with it by field, and then nothing was changed.

    Raises FailureGroup.DoesNotExist.
    """
    group = FailureGroup.objects.select_for_update().get(pk=group_id)
    before = _words(care_of(group))
    group.owner, group.snoozed_until, group.expected = care.owner, care.snoozed_until, care.expected
    group.note, group.ticket = storable.text(care.note).strip(), care.ticket.strip()
    try:
        group.clean_fields(exclude=("consumer", "last_replay"))
    except ValidationError as error:
        return {field: " ".join(told) for field, told in error.message_dict.items()}
    changes = {name: [before[name], after] for name, after in _words(care_of(group)).items() if after != before[name]}
    if changes:
        group.save(update_fields=["owner", "snoozed_until", "expected", "note", "ticket"])
        _record(group, changes, actor, remote_address)
    return {}


def _words(care: Care) -> dict[str, str]:
    return {
        "owner": care.owner.get_username() if care.owner is not None else "",
        "note": care.note,
        "ticket": care.ticket,
        "snoozed until": care.snoozed_until.isoformat() if care.snoozed_until is not None else "",
        "expected": care.expected.value,
    }


def _record(group: FailureGroup, changes: dict[str, Any], actor: User | None, remote_address: str | None) -> None:
    audit.record(
        Action.GROUP_CHANGED,
        str(group)[:200],
        actor=actor,
        consumer=group.consumer,
        detail=", ".join(changes),
        data={"group": group.pk, "changes": changes},
        remote_address=remote_address,
    )

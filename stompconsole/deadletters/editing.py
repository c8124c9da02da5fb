"""A dead letter changed and sent again: the body and the team's headers, checked before, the original kept.

Owns what is wrong with a change of one; which headers are locked says ``sendable``. Many at once: ``operations``.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from django.db import transaction

from stompconsole import audit
from stompconsole.audit import Action
from stompconsole.deadletters import holding, redacting, sealing, selection, sendable, storable
from stompconsole.deadletters.plans import PLAIN, Plan
from stompconsole.deadletters.selection import Planned
from stompconsole.models import DeadLetter, LetterEdit, ReplayItem

if TYPE_CHECKING:
    from django.contrib.auth.models import User

MAX_BODY = 256 * 1024
"""Bytes of a body that can be changed in a form; of a larger one the headers can."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What is to be sent. ``body`` None leaves the body as it is."""

    headers: Mapping[str, str]
    body: str | None = None


def editable(letter: DeadLetter) -> dict[str, str]:
    """The team's headers: those that can be changed."""
    return sendable.editable(letter.headers)


def text_of(letter: DeadLetter) -> str | None:
    """The body as it can be changed in a form; None when it is no UTF-8 text, too large, or redacted whole."""
    body = bytes(letter.body)
    if len(body) > MAX_BODY or b"\0" in body or (letter.sealed is not None and body in redacting.WHOLE):
        return None
    try:
        return body.decode()
    except UnicodeDecodeError:
        return None


def problems(letter: DeadLetter, change: Change) -> dict[str, str]:
    """What is wrong with a change, by ``body`` or ``headers``; empty when it can be sent."""
    found = {"headers": sendable.problem(change.headers), "body": _of_body(letter, change)}
    if not any(found.values()):
        found["body"] = sealing.misplaced(letter, change.headers, _body(letter, change))
    return {field: told for field, told in found.items() if told}


def _of_body(letter: DeadLetter, change: Change) -> str:
    if change.body is None:
        return ""
    if text_of(letter) is None:
        return "This body is no text, or too large to be changed here: only its headers can be."
    if len(change.body.encode(errors="replace")) > MAX_BODY:
        return f"The body is longer than {MAX_BODY:,} bytes."
    if not _is_json(letter, change):
        return ""
    try:
        json.loads(change.body)
    except (ValueError, RecursionError) as error:
        return f"It is no JSON, as it was before or its content-type says: {error}."
    return ""


def _is_json(letter: DeadLetter, change: Change) -> bool:
    content_type = change.headers.get("content-type", "").partition(";")[0].strip().lower()
    if content_type.endswith("json"):
        return True
    # Without a content-type consumers read JSON: what was JSON must stay so.
    return not content_type and letter.document is not None


@transaction.atomic
def edit_and_replay(
    letter_id: uuid.UUID,
    change: Change,
    *,
    actor: User | None,
    reason: str = "",
    remote_address: str | None = None,
    plan: Plan = PLAIN,
) -> Planned:
    """Keep the change, and have it sent in place of the original, which stays as it was.

    A refusal says what is wrong, or that the dead letter is not dead any more; then nothing is kept.
    """
    letter = DeadLetter.objects.filter(pk=letter_id).first()
    if letter is None:
        return Planned(refusal="There is no such dead letter any more.")
    if letter.held:
        return Planned(refusal=f"It can't be edited. {holding.where(letter)}")
    if told := problems(letter, change):
        return Planned(refusal=" ".join(told.values()))
    planned = selection.replay_selected(
        [letter_id], actor=actor, reason=reason, remote_address=remote_address, plan=plan
    )
    if planned.replay is None:
        return planned
    edit = LetterEdit.objects.create(
        dead_letter=letter,
        made_by=actor,
        reason=storable.text(reason, 200),
        **sealing.of_edit(letter, _complete(letter, change), _body(letter, change)),
    )
    ReplayItem.objects.filter(replay=planned.replay, dead_letter=letter).update(edit=edit)
    _record(letter, change, edit, actor, remote_address)
    return replace(planned, chosen=1)


def _complete(letter: DeadLetter, change: Change) -> dict[str, str]:
    """With the locked headers as they were: they tell how it is to be sent, content-length above all."""
    locked = {name: value for name, value in letter.headers.items() if sendable.is_locked(name)}
    return {**locked, **storable.headers(change.headers)}


def _body(letter: DeadLetter, change: Change) -> bytes:
    return bytes(letter.body) if change.body is None else change.body.encode()


def _record(
    letter: DeadLetter, change: Change, edit: LetterEdit, actor: User | None, remote_address: str | None
) -> None:
    before, after = editable(letter), dict(change.headers)
    # Names and sizes: what is in a body or a header may be a secret.
    changes = {
        "headers added": sorted(after.keys() - before.keys()),
        "headers removed": sorted(before.keys() - after.keys()),
        "headers changed": sorted(name for name in before.keys() & after.keys() if before[name] != after[name]),
        "body bytes": [letter.body_size, len(bytes(edit.body))] if change.body is not None else [],
    }
    audit.record(
        Action.EDITED,
        f"dead letter {letter.pk}",
        actor=actor,
        consumer=letter.consumer,
        detail=edit.reason,
        data={"edit": edit.pk, **{what: names for what, names in changes.items() if names}},
        remote_address=remote_address,
    )

"""A dead letter changed and sent again: the body and the team's headers, checked before, the original kept.

Owns what can be changed and what is wrong with a change. Headers of the protocol, of the broker and of ours are locked:
a replay would leave them out, or depends on them.
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
from stompconsole.brokers import BrokerKind, dialect_for
from stompconsole.deadletters import holding, redacting, sealing, selection, storable
from stompconsole.deadletters.plans import PLAIN, Plan
from stompconsole.deadletters.selection import Planned
from stompconsole.delivery import envelope
from stompconsole.models import DeadLetter, LetterEdit, ReplayItem

if TYPE_CHECKING:
    from django.contrib.auth.models import User

MAX_BODY = 256 * 1024
"""Bytes of a body that can be changed in a form; of a larger one the headers can."""

MAX_HEADERS = 80
MAX_HEADER_BYTES = 8_000
"""What every broker takes."""

_DIALECTS = tuple(dialect_for(kind, "") for kind in BrokerKind if kind is not BrokerKind.AUTO)


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What is to be sent. ``body`` None leaves the body as it is."""

    headers: Mapping[str, str]
    body: str | None = None


def editable(letter: DeadLetter) -> dict[str, str]:
    """The team's headers: those that can be changed."""
    return {name: value for name, value in letter.headers.items() if not is_locked(name)}


def is_locked(name: str) -> bool:
    """Whether a header is the protocol's, a broker's or ours."""
    return name == "content-length" or name.startswith(envelope.PREFIX) or not _sent_by_all(name)


def _sent_by_all(name: str) -> bool:
    return all(dialect.resend_headers({name: "x"}) for dialect in _DIALECTS)


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
    found = {"headers": _of_headers(change.headers), "body": _of_body(letter, change)}
    if not any(found.values()):
        found["body"] = sealing.misplaced(letter, change.headers, _body(letter, change))
    return {field: told for field, told in found.items() if told}


def _of_headers(headers: Mapping[str, str]) -> str:
    if len(headers) > MAX_HEADERS:
        return f"{len(headers)} headers are too many: brokers take about {MAX_HEADERS} beside their own."
    for name, value in headers.items():
        if not name or any(character in name for character in ":\0\r\n") or "\0" in value:
            return f"{name!r} can't be a header: a name has no colon and no line break, and neither holds a NUL."
        if is_locked(name):
            return f"{name} is locked: it belongs to the protocol, the broker or the console."
        if len(f"{name}:{value}".encode(errors="replace")) > MAX_HEADER_BYTES:
            return f"{name} is longer than {MAX_HEADER_BYTES:,} bytes: ActiveMQ ends the connection at 10 KB."
    return ""


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
    locked = {name: value for name, value in letter.headers.items() if is_locked(name)}
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

"""The two versions of a dead letter that was edited: as it died first, and as it was sent.

A message that was edited and died again comes back as it was sent, and its row takes that: the original is kept with
the edit then. Until then the row is the original, and of many that were edited alike nothing is kept but how.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from stompconsole.deadletters import operations, sealing
from stompconsole.deadletters.captured import Captured
from stompconsole.deadletters.operations import Message, Operation, Refusal
from stompconsole.deadletters.sealing import Sealable
from stompconsole.models import DeadLetter, LetterEdit, ReplayItem

NOT_STORED = 'Its body is not stored (STOMPCONSOLE["STORE_BODIES"], or its consumer): only its headers can be changed.'


@dataclass(frozen=True, slots=True, kw_only=True)
class Versions:
    """Before and after; ``after`` is why there is none where it could not be edited."""

    before: Message
    after: Message | Refusal


class Stored(Sealable, Protocol):
    """A dead letter as far as it is to be sent. ``held`` is the queue that has its body, if it is not stored."""

    @property
    def held(self) -> str: ...


def to_send(
    letter: Stored, edit: Sealable | None, edits: Sequence[Operation], held: bytes | None = None
) -> Message | Refusal:
    """What a replay sends: the dead letter as it came, redacted parts put back, as somebody edited it or as ``edits``
    change it. ``held`` is its body where that is not stored. Raises ConfigurationError when a seal can't be opened."""
    headers, body = sealing.as_it_came(letter, edit)
    message = Message(headers=headers, body=body if held is None else held)
    return message if edit is not None else edited(letter, message, edits)


def edited(letter: Stored, message: Message, edits: Sequence[Operation]) -> Message | Refusal:
    """What edits make of a dead letter's message. Of one whose body is not stored they change headers alone: nobody
    could look at what would become of the rest."""
    if letter.held and any(not edit.act.of_header for edit in edits):
        return Refusal(reason=NOT_STORED)
    return operations.carry_out(edits, message)


def of_item(item: ReplayItem) -> Versions:
    """Both versions of what an item is about, as pages may show them."""
    letter, edit = item.dead_letter, item.edit
    if edit is None:
        before = Message(headers=letter.headers, body=bytes(letter.body))
        return Versions(before=before, after=edited(letter, before, operations.kept(item.replay.edits)))
    after = Message(headers=edit.headers, body=bytes(edit.body))
    if edit.headers_before is None:
        return Versions(before=Message(headers=letter.headers, body=bytes(letter.body)), after=after)
    return Versions(before=Message(headers=edit.headers_before, body=bytes(edit.body_before or b"")), after=after)


def keep_originals(item_ids: Collection[int], came_back: Mapping[uuid.UUID, Captured]) -> None:
    """Keep what rows hold now with the edits of these items, before the rows take what came back."""
    if not item_ids:
        return
    items = ReplayItem.objects.filter(pk__in=item_ids).select_related("replay", "edit")
    edited = [item for item in items if is_edited(item)]
    letters = DeadLetter.objects.only("headers", "body").in_bulk([item.dead_letter_id for item in edited])
    for item in edited:
        letter = letters[item.dead_letter_id]
        edit = item.edit or _made(item, came_back[item.dead_letter_id])
        edit.headers_before, edit.body_before = letter.headers, bytes(letter.body)
        edit.save()
        ReplayItem.objects.filter(pk=item.pk).update(edit=edit)


def _made(item: ReplayItem, message: Captured) -> LetterEdit:
    return LetterEdit(
        dead_letter_id=item.dead_letter_id,
        made_by_id=item.replay.created_by_id,
        reason=item.replay.reason,
        headers=message.headers,
        body=message.body,
        sealed=sealing.seal(message.parts),
    )


def is_edited(item: ReplayItem) -> bool:
    """Whether an item's message is, or was to be, sent in another form."""
    return item.edit_id is not None or bool(item.replay.edits)

"""What edits would make of a set of dead letters, before anybody confirms them: some looked at, a few of them shown.

Bounded in rows and in bytes: a set of any size is answered for in about a second, and it is said how many were looked
at. Which ones goes by id, which are random: a sample of the whole set and not of its newest hour. Changes nothing.
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from django.db.models import QuerySet

from stompconsole.deadletters import versions
from stompconsole.deadletters.filters import Group
from stompconsole.deadletters.operations import MAX_JSON_BYTES, Message, Operation, Refusal
from stompconsole.models import DeadLetter

MOST_LOOKED_AT = 1_000
MOST_BYTES = 32 * 2**20
AT_ONCE = 100
MOST_SHOWN = 10
MOST_REASONS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One message and what would become of it."""

    letter: DeadLetter
    before: Message
    after: Message


@dataclass(slots=True, kw_only=True)
class Outlook:
    """Of ``looked_at``: how many would change, stay as they are, or can't be edited and why."""

    looked_at: int = 0
    changed: int = 0
    unchanged: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    samples: list[Sample] = field(default_factory=list)

    @property
    def reasons(self) -> list[Group]:
        """Why some can't be edited, most first."""
        return [Group(label=reason, count=count) for reason, count in self.refused.most_common(MOST_REASONS)]

    @property
    def left_out(self) -> int:
        """How many can't be edited."""
        return self.refused.total()


def outlook(rows: QuerySet[DeadLetter], edits: Sequence[Operation]) -> Outlook:
    """Try ``edits`` on some of ``rows``."""
    found = Outlook()
    changing: list[uuid.UUID] = []
    for letter in _some(rows):
        before = _message(letter)
        found.looked_at += 1
        match versions.edited(letter, before, edits):
            case Refusal(reason=reason):
                found.refused[reason] += 1
            case after if after == before:
                found.unchanged += 1
            case _:
                found.changed += 1
                changing.append(letter.pk)
    found.samples = _samples(_spread(changing), edits)
    return found


def _some(rows: QuerySet[DeadLetter]) -> Iterator[DeadLetter]:
    """Letters by the hundred, until enough bytes were read. Bodies too large to be edited are not read at all."""
    sizes = list(rows.order_by("pk").values_list("pk", "body_size")[:MOST_LOOKED_AT])
    read = 0
    for start in range(0, len(sizes), AT_ONCE):
        portion = sizes[start : start + AT_ONCE]
        if read > MOST_BYTES:
            return
        read += sum(min(size, MAX_JSON_BYTES) for _, size in portion)
        small = DeadLetter.objects.only("headers", "body", "body_size", "held").in_bulk(_within(portion))
        large = DeadLetter.objects.only("headers", "body_size", "held").in_bulk(
            [pk for pk, _ in portion if pk not in small]
        )
        yield from (letter for pk, _ in portion if (letter := small.get(pk) or large.get(pk)) is not None)


def _within(portion: Sequence[tuple[uuid.UUID, int]]) -> list[uuid.UUID]:
    return [pk for pk, size in portion if size <= MAX_JSON_BYTES]


def _message(letter: DeadLetter) -> Message:
    # A body that was not read is only refused for its size: anything larger stands for it.
    body = _TOO_LARGE if letter.body_size > MAX_JSON_BYTES else bytes(letter.body)
    return Message(headers=letter.headers, body=body)


_TOO_LARGE = b" " * (MAX_JSON_BYTES + 1)


def _spread(ids: Sequence[uuid.UUID]) -> list[uuid.UUID]:
    return [ids[number * len(ids) // MOST_SHOWN] for number in range(MOST_SHOWN)] if len(ids) > MOST_SHOWN else [*ids]


def _samples(ids: Sequence[uuid.UUID], edits: Sequence[Operation]) -> list[Sample]:
    letters = DeadLetter.objects.defer("traceback", "search_text", "document").in_bulk(ids)
    found: list[Sample] = []
    for letter in (letters[pk] for pk in ids if pk in letters):
        before = _message(letter)
        match versions.edited(letter, before, edits):
            case Message() as after:
                found.append(Sample(letter=letter, before=before, after=after))
            case Refusal():
                pass
    return found

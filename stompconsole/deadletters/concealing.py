"""Redaction of dead letters that are rows already: imported ones before they are stored, stored ones on demand.

Owns what of a row quotes a message: its body, headers, search, errors, earlier failures, changes made to it, and the
words of its group. What was redacted before stays so, whatever the rules are now.
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from django.db import transaction
from django.db.models import QuerySet

from stompconsole import audit
from stompconsole.audit import Action
from stompconsole.conf import settings_now
from stompconsole.deadletters import grouping, sealing, storable, tallies, transitions
from stompconsole.deadletters.captured import MAX_DOCUMENT, unquoted_headers
from stompconsole.deadletters.quoting import Quotes
from stompconsole.deadletters.redacting import Hidden, Parts, Redactor, markers_in
from stompconsole.errors import ConfigurationError
from stompconsole.models import DeadLetter, Failure, FailureGroup, LetterEdit

ROWS_AT_ONCE = 200

_CHANGED = (
    "headers",
    "body",
    "sealed",
    "search_text",
    "document",
    "correlation_id",
    "content_type",
    "error_message",
    "traceback",
    "group",
)


@dataclass(slots=True, kw_only=True)
class Progress:
    """How far it is. ``left`` says by id why one could not be redacted."""

    seen: int = 0
    redacted: int = 0
    left: dict[uuid.UUID, str]


def conceal(letter: DeadLetter, failures: Sequence[Failure], redactor: Redactor) -> bool:
    """Take out of a row, which is not saved, what rules name; whether there was anything.

    Raises ConfigurationError when there is a seal already and no key fits.
    """
    hidden = _hidden(letter, redactor, sealing.shown_markers(letter))
    if hidden is None:
        return False
    letter.document = storable.document(bytes(letter.body), MAX_DOCUMENT)
    letter.correlation_id = _column(letter.correlation_id, hidden, "correlation-id")
    letter.content_type = _column(letter.content_type, hidden, "content-type")
    _unquote(letter, hidden.quotes)
    for failure in failures:
        _unquote(failure, hidden.quotes)
    words = (letter.error_type, letter.error_message, letter.correlation_id, letter.message_id)
    letter.search_text = storable.search_text(bytes(letter.body), settings_now().search_text_bytes, *words)
    return True


def _hidden(message: DeadLetter | LetterEdit, redactor: Redactor, kept: frozenset[str]) -> Hidden | None:
    hidden = redactor.hide(message.headers, bytes(message.body), kept=kept)
    if not hidden.parts:
        return None
    message.sealed = sealing.seal(_together(hidden.parts, sealing.opened(message.sealed)))
    message.headers = unquoted_headers(hidden.headers, hidden.quotes)
    message.body = hidden.body
    return hidden


def _together(new: Parts, old: Parts) -> Parts:
    """Both in one: what is taken out now may hold markers of what was taken out before."""
    body = {marker: sealing.in_places(text.encode(), old).decode() for marker, text in new.body.items()}
    whole = old.whole if new.whole is None else sealing.in_places(new.whole, old)
    return replace(old, headers={**old.headers, **new.headers}, body={**old.body, **body}, whole=whole)


def _column(value: str, hidden: Hidden, header: str) -> str:
    return hidden.headers.get(header, "")[:255] if value in hidden.parts.headers.values() else value


def _unquote(told: DeadLetter | Failure, quotes: Quotes) -> None:
    told.error_message = quotes.taken_out_of(told.error_message)
    told.traceback = quotes.taken_out_of(told.traceback)


def redact(rows: QuerySet[DeadLetter], *, what: str, actor_name: str) -> Iterator[Progress]:
    """Apply the rules now in force to stored rows, some hundred in each transaction; audited once, at the end.

    Raises WrongRuleError.
    """
    progress = Progress(left={})
    try:
        for ids in _portions(rows):
            _redact_some(ids, progress)
            yield progress
    finally:
        if progress.redacted:
            data = {"redacted": progress.redacted, "seen": progress.seen, "left": len(progress.left), "what": what}
            target = f"{progress.redacted} dead letters"
            audit.record(Action.REDACTED, target, actor=None, actor_name=actor_name, data=data)


def would_redact(rows: QuerySet[DeadLetter]) -> Iterator[Progress]:
    """The same, changing nothing."""
    progress = Progress(left={})
    for ids in _portions(rows):
        for letter in transitions.by_id(ids).select_related("consumer"):
            progress.seen += 1
            kept = sealing.shown_markers(letter)
            hidden = sealing.redactor_of(letter.consumer).hide(letter.headers, bytes(letter.body), kept=kept)
            progress.redacted += bool(hidden.parts)
        yield progress


def _portions(rows: QuerySet[DeadLetter]) -> Iterator[list[uuid.UUID]]:
    found = rows.order_by("pk").values_list("pk", flat=True)
    ids = list(found[:ROWS_AT_ONCE])
    while ids:
        yield ids
        ids = list(found.filter(pk__gt=ids[-1])[:ROWS_AT_ONCE])


@transaction.atomic
def _redact_some(ids: Sequence[uuid.UUID], progress: Progress) -> None:
    transitions.write_first()
    transitions.lock(transitions.by_id(ids))
    letters = transitions.by_id(ids).select_related("consumer", "group").prefetch_related("failures", "edits")
    for letter in letters.order_by("pk"):
        progress.seen += 1
        try:
            # A change may quote what the original does not: each by itself.
            with transaction.atomic():
                progress.redacted += _redact(letter)
        except ConfigurationError as error:
            progress.left[letter.pk] = str(error)


def _redact(letter: DeadLetter) -> bool:
    redactor = sealing.redactor_of(letter.consumer)
    edits = list(letter.edits.all())
    failures = list(letter.failures.all())
    before = tallies.cell(letter)
    changed = [edit for edit in edits if _hidden(edit, redactor, _markers(letter, edit)) is not None]
    for edit in changed:
        edit.save(update_fields=["headers", "body", "sealed"])
    if not conceal(letter, failures, redactor):
        return bool(changed)
    _regroup(letter)
    letter.save(update_fields=_CHANGED)
    Failure.objects.bulk_update(failures, ["error_message", "traceback"])
    tallies.add(Counter({tallies.cell(letter): 1}))
    tallies.add(Counter({before: -1}))
    return True


def _markers(letter: DeadLetter, edit: LetterEdit) -> frozenset[str]:
    own = markers_in(edit.headers, bytes(edit.body)) if edit.sealed is not None else frozenset[str]()
    return own | sealing.shown_markers(letter)


def _regroup(letter: DeadLetter) -> None:
    """Into the group of its redacted error: the same one with other words, unless there is another of those."""
    group = letter.group
    failure = grouping.of_letter(letter)
    found = failure.fingerprint
    if group is None or group.key == found.key:
        return
    other = FailureGroup.objects.filter(key=found.key).first()
    if other is None:
        group.key, group.message, group.place = found.key, found.message, found.place
        group.save(update_fields=["key", "message", "place"])
        return
    # Its words may quote what was just taken out: the other one says the same without.
    FailureGroup.objects.filter(pk=group.pk).update(message=found.message, place=found.place)
    letter.group = other

"""Dead letters as NDJSON, one object a line: written to be kept or looked into, read back where they were deleted or on
another console.

Owns the form of a line. Bodies are streamed row by row, never loaded together. What is imported is dead, whatever it
was; what is there already is left as it is.
"""

from __future__ import annotations

import base64
import binascii
import json
import uuid
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from django.core.serializers.json import DjangoJSONEncoder
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from stompconsole import audit
from stompconsole.audit import Action
from stompconsole.conf import settings_now
from stompconsole.deadletters import concealing, grouping, sealing, storable, tallies, transitions
from stompconsole.deadletters.captured import MAX_DOCUMENT
from stompconsole.deadletters.redacting import Parts
from stompconsole.models import Consumer, DeadLetter, DeadLetterState, Failure

if TYPE_CHECKING:
    from django.contrib.auth.models import User

ROWS_AT_ONCE = 200

_TEXTS = {
    "origin": 500,
    "destination": 500,
    "message_id": 500,
    "correlation_id": 255,
    "content_type": 255,
    "error_type": 255,
    "error_message": None,
    "traceback": None,
    "handler": 500,
    "worker": 300,
}
_FAILURE_TEXTS = ("error_type", "error_message", "traceback", "handler", "worker")


class UnreadableLine(ValueError):
    """Says what is wrong with a line; whoever reads the file adds its number."""


@dataclass(slots=True, kw_only=True)
class Imported:
    """What an import did. ``problems`` are lines that could not be read, with why."""

    created: int = 0
    known: int = 0
    problems: list[str] = field(default_factory=list)


def lines(rows: QuerySet[DeadLetter]) -> Iterator[str]:
    """Each dead letter as a line, its newline included."""
    for row in rows.prefetch_related("failures").iterator(chunk_size=ROWS_AT_ONCE):
        yield json.dumps(as_dict(row), cls=DjangoJSONEncoder, ensure_ascii=False) + "\n"


def as_dict(row: DeadLetter) -> dict[str, Any]:
    """One dead letter with its failures; the body as ``body`` where it is text, else as ``body_base64``."""
    known = {name: getattr(row, name) for name in _TEXTS}
    return {
        "id": str(row.pk),
        "consumer": row.consumer_name,
        "state": row.state,
        "failed_at": row.failed_at,
        **({"due_at": row.due_at} if row.state == DeadLetterState.SCHEDULED else {}),
        "first_failed_at": row.first_failed_at,
        "attempts": row.attempts,
        "replays": row.replays,
        **known,
        "headers": row.headers,
        **_body(bytes(row.body)),
        **({"redacted": True} if row.sealed is not None else {}),
        **({"held": row.held} if row.held else {}),
        "failures": [_failure(failure) for failure in row.failures.all()],
    }


def _failure(failure: Failure) -> dict[str, Any]:
    texts = {name: getattr(failure, name) for name in _FAILURE_TEXTS}
    return {"id": str(failure.pk), "at": failure.at, "attempts": failure.attempts, **texts}


def _body(body: bytes) -> dict[str, str]:
    try:
        return {"body": body.decode()}
    except UnicodeDecodeError:
        return {"body_base64": base64.b64encode(body).decode()}


def read(source: Iterable[str], *, actor: User | None, actor_name: str = "") -> Imported:
    """Store what is not there yet, some hundred lines in one transaction each; audited once."""
    done = Imported()
    waiting: list[dict[str, Any]] = []
    for number, line in enumerate(source, 1):
        if not line.strip():
            continue
        try:
            waiting.append(_parsed(line))
        except UnreadableLine as error:
            done.problems.append(f"line {number}: {error}")
        if len(waiting) >= ROWS_AT_ONCE:
            _store(waiting, done)
            waiting = []
    _store(waiting, done)
    if done.created:
        data = {"created": done.created, "known": done.known, "unreadable": len(done.problems)}
        target = f"{done.created} dead letters"
        audit.record(Action.IMPORTED, target, actor=actor, actor_name=actor_name, data=data)
    return done


def _parsed(line: str) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise UnreadableLine(f"it is no JSON: {error}") from error
    if not isinstance(found, dict):
        raise UnreadableLine("it is no JSON object")
    headers = found.get("headers", {})
    if not isinstance(headers, dict) or not all(isinstance(value, str) for value in headers.values()):
        raise UnreadableLine("its headers are no object of texts")
    failures = found.get("failures", [])
    if not isinstance(failures, list) or not all(isinstance(failure, dict) for failure in failures):
        raise UnreadableLine("its failures are no list of objects")
    return {
        **{name: storable.text(_text(found, name), limit) for name, limit in _TEXTS.items()},
        "id": _uuid(found.get("id")),
        "consumer": storable.text(_text(found, "consumer"), 50),
        "failed_at": _time(found.get("failed_at")),
        "first_failed_at": _time(found["first_failed_at"]) if found.get("first_failed_at") else None,
        "attempts": _count(found, "attempts"),
        "replays": _count(found, "replays"),
        "headers": storable.headers(headers),
        "body": _bytes(found),
        "redacted": found.get("redacted") is True,
        "held": storable.text(_text(found, "held"), 500),
        "failures": [_read_failure(failure) for failure in failures],
    }


def _read_failure(found: dict[str, Any]) -> dict[str, Any]:
    texts = {name: storable.text(_text(found, name), _TEXTS[name]) for name in _FAILURE_TEXTS}
    return {"id": _uuid(found.get("id")), "at": _time(found.get("at")), "attempts": _count(found, "attempts"), **texts}


def _text(found: dict[str, Any], name: str) -> str:
    value = found.get(name, "")
    if not isinstance(value, str):
        raise UnreadableLine(f"{name} is {value!r}, which is no text")
    return value


def _count(found: dict[str, Any], name: str) -> int:
    value = found.get(name, 0)
    if not isinstance(value, int) or isinstance(value, bool):
        raise UnreadableLine(f"{name} is {value!r}, which is no number")
    return storable.whole(value)


def _bytes(found: dict[str, Any]) -> bytes:
    if "body_base64" in found:
        try:
            return base64.b64decode(_text(found, "body_base64"), validate=True)
        except binascii.Error as error:
            raise UnreadableLine(f"body_base64 is no base64: {error}") from error
    return _text(found, "body").encode(errors="replace")


def _uuid(value: object) -> uuid.UUID:
    try:
        return uuid.UUID(str(value))
    except ValueError:
        raise UnreadableLine(f"id {value!r} is no UUID") from None


def _time(value: object) -> datetime:
    try:
        found = parse_datetime(str(value))
    except ValueError:
        found = None
    if found is None or timezone.is_naive(found):
        raise UnreadableLine(f"{value!r} is no time with a zone, such as 2026-11-23T12:00:00Z")
    return storable.moment(found, timezone.now())


@transaction.atomic
def _store(found: Sequence[dict[str, Any]], done: Imported) -> None:
    by_id = {row["id"]: row for row in found}
    transitions.write_first()
    known = set(transitions.by_id(by_id.keys()).values_list("pk", flat=True))
    fresh = [row for pk, row in by_id.items() if pk not in known]
    consumers = {
        each.name: each
        for each in Consumer.objects.select_related("broker").filter(name__in={row["consumer"] for row in fresh})
    }
    failures = {row["id"]: list(_failures(row)) for row in fresh}
    letters = [_letter(row, consumers.get(row["consumer"])) for row in fresh]
    for letter in letters:
        concealing.conceal(letter, failures[letter.pk], sealing.redactor_of(letter.consumer))
    groups = {letter.pk: grouping.of_letter(letter) for letter in letters}
    ids = grouping.ids_of(groups.values())
    for letter in letters:
        letter.group_id = ids[groups[letter.pk].fingerprint.key]
    DeadLetter.objects.bulk_create(sorted(letters, key=lambda letter: letter.pk))
    told = [failure for some in failures.values() for failure in some]
    Failure.objects.bulk_create(sorted(told, key=lambda failure: failure.pk), ignore_conflicts=True)
    tallies.add(Counter(map(tallies.cell, letters)))
    grouping.failed(grouping.deaths_of(letters))
    done.created += len(letters)
    done.known += len(found) - len(letters)


def _failures(row: dict[str, Any]) -> Iterator[Failure]:
    for failure in row["failures"]:
        fields = {name: value for name, value in failure.items() if name != "id"}
        yield Failure(pk=failure["id"], dead_letter_id=row["id"], **fields)


def _letter(row: dict[str, Any], consumer: Consumer | None) -> DeadLetter:
    now = timezone.now()
    texts = {name: row[name] for name in _TEXTS}
    words = (row["error_type"], row["error_message"], row["correlation_id"], row["message_id"])
    return DeadLetter(
        pk=row["id"],
        consumer=consumer,
        consumer_name=row["consumer"],
        day=grouping.day_of(row["failed_at"]),
        state=DeadLetterState.DEAD,
        state_at=now,
        headers=row["headers"],
        body=row["body"],
        body_size=len(row["body"]),
        # Its markers came without what they stand for: it must not be sent with them.
        sealed=sealing.seal(Parts(lost=True)) if row["redacted"] else None,
        # Its message may be there still; sent without its body it must not be.
        held=row["held"],
        held_on=consumer.broker if consumer is not None and row["held"] else None,
        search_text=storable.search_text(row["body"], settings_now().search_text_bytes, *words),
        document=storable.document(row["body"], MAX_DOCUMENT),
        attempts=row["attempts"],
        replays=row["replays"],
        failed_at=row["failed_at"],
        first_failed_at=row["first_failed_at"] or row["failed_at"],
        captured_at=now,
        **texts,
    )

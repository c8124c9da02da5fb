"""Dead letters into failure groups: one for each fingerprint, made when its first failure is captured.

Owns the making of groups, and the grouping of dead letters that an older version captured.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime

from django.db import transaction
from django.db.models import Case, QuerySet, Value, When

from stompconsole.deadletters import tallies, transitions
from stompconsole.deadletters.fingerprints import Fingerprint, fingerprint
from stompconsole.deadletters.locks import lock_and_read
from stompconsole.models import DeadLetter, FailureGroup

ROWS_AT_ONCE = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Grouped:
    """One failure as its group sees it. ``at`` is aware."""

    fingerprint: Fingerprint
    consumer_id: int | None
    consumer_name: str
    handler: str
    at: datetime


def group_of(
    *,
    consumer_id: int | None,
    consumer_name: str,
    error_type: str,
    error_message: str,
    traceback: str,
    handler: str,
    at: datetime,
) -> Grouped:
    """What group a failure belongs to."""
    # By the row, not by its name: a consumer that gets the name of a deleted one does not take over its groups.
    whose = f"name {consumer_name}" if consumer_id is None else f"id {consumer_id}"
    return Grouped(
        fingerprint=fingerprint(whose, error_type, error_message, traceback),
        consumer_id=consumer_id,
        consumer_name=consumer_name,
        handler=handler,
        at=at,
    )


def ids_of(failures: Iterable[Grouped]) -> dict[str, int]:
    """The ids of their groups by key, new groups made. Runs inside the transaction of its caller."""
    by_key: dict[str, list[Grouped]] = {}
    for failure in failures:
        by_key.setdefault(failure.fingerprint.key, []).append(failure)
    known = _known(by_key)
    missing = [_row(by_key[key]) for key in sorted(by_key.keys() - known.keys())]
    if missing:
        # Another worker may be making the same one: then both read whichever came first.
        FailureGroup.objects.bulk_create(missing, ignore_conflicts=True)
        known = _known(by_key)
    return known


def _known(keys: Iterable[str]) -> dict[str, int]:
    return dict(FailureGroup.objects.filter(key__in=list(keys)).values_list("key", "pk"))


def _row(failures: Sequence[Grouped]) -> FailureGroup:
    one = failures[0]
    return FailureGroup(
        key=one.fingerprint.key,
        consumer_id=one.consumer_id,
        consumer_name=one.consumer_name,
        error_type=one.fingerprint.error_type,
        message=one.fingerprint.message,
        place=one.fingerprint.place,
        handler=one.handler,
        first_failed_at=min(failure.at for failure in failures),
        last_failed_at=max(failure.at for failure in failures),
    )


def failed(deaths: Iterable[tuple[int, datetime]]) -> None:
    """Bring the last failure of groups up to date, by (group, time).

    The last thing in the transaction of its caller: others that store failures of the same groups wait from here on.
    """
    last: dict[int, datetime] = {}
    for group_id, at in deaths:
        last[group_id] = max(at, last.get(group_id, at))
    rows = FailureGroup.objects.filter(pk__in=last)
    # Only where it is older: a group that fails a thousand times a second is written once a batch at most.
    later = [
        FailureGroup(pk=pk, last_failed_at=last[pk])
        for pk, known in lock_and_read(rows, "last_failed_at")
        if known < last[pk]
    ]
    FailureGroup.objects.bulk_update(later, ["last_failed_at"], batch_size=ROWS_AT_ONCE)


def day_of(at: datetime) -> date:
    """The day a failure is counted under."""
    return at.astimezone(UTC).date()


def group_the_rest() -> int:
    """Give a group to some dead letters that have none; returns how many got one, 0 when all have."""
    ids = list(DeadLetter.objects.filter(group=None).order_by("pk").values_list("pk", flat=True)[:ROWS_AT_ONCE])
    return _group(transitions.by_id(ids)) if ids else 0


@transaction.atomic
def _group(rows: QuerySet[DeadLetter]) -> int:
    transitions.lock(rows)
    letters = list(rows.filter(group=None).defer("body", "headers", "search_text", "sealed"))
    grouped = {letter.pk: of_letter(letter) for letter in letters}
    ids = ids_of(grouped.values())
    group_ids = {pk: ids[failure.fingerprint.key] for pk, failure in grouped.items()}
    for letter in letters:
        letter.group_id, letter.day = group_ids[letter.pk], day_of(letter.failed_at)
    days = Case(*(When(pk=letter.pk, then=Value(letter.day)) for letter in letters))
    for group_id in sorted(set(group_ids.values())):
        rows.filter(pk__in=[pk for pk, found in group_ids.items() if found == group_id]).update(group_id=group_id)
    if letters:
        rows.filter(pk__in=group_ids).update(day=days)
    for letter in letters:
        tallies.add({tallies.cell(letter): 1})
    deaths = deaths_of(letters)
    tallies.died(deaths)
    failed(deaths)
    return len(letters)


def deaths_of(letters: Iterable[DeadLetter]) -> list[tuple[int, datetime]]:
    """The newest death of each that has a group: (group, time)."""
    return [(letter.group_id, letter.failed_at) for letter in letters if letter.group_id is not None]


def of_letter(letter: DeadLetter) -> Grouped:
    """What group a dead letter belongs to."""
    return group_of(
        consumer_id=letter.consumer_id,
        consumer_name=letter.consumer_name,
        error_type=letter.error_type,
        error_message=letter.error_message,
        traceback=letter.traceback,
        handler=letter.handler,
        at=letter.failed_at,
    )

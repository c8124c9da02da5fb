"""What an operator does with dead letters: replay, discard, undo. Each act is audited, and one transaction, but for
what is discarded or brought back by the thousand.

A choice is frozen to ids when it is confirmed. What another operator took in the meantime is skipped and counted;
should more match than was counted, nothing is done. Owns no permissions: views check them. Sends nothing: a replay is a
row that a worker carries out.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from django.db import transaction
from django.utils import timezone

from stompconsole.audit import Action
from stompconsole.conf import settings_now
from stompconsole.deadletters import freezing, storable, transitions
from stompconsole.deadletters.acting import AUDITED_IDS, By, chosen_ids, grown, record
from stompconsole.deadletters.by_portions import began, by_the_portion, slice_of
from stompconsole.deadletters.filters import Filters, Group, Preview, preview, preview_of
from stompconsole.deadletters.plans import PLAIN, Plan
from stompconsole.models import DeadLetter, DeadLetterState, Replay

if TYPE_CHECKING:
    from django.contrib.auth.models import User

__all__ = [
    "Discarded",
    "Filters",
    "Group",
    "Planned",
    "Preview",
    "discard_matching",
    "discard_selected",
    "preview",
    "preview_of",
    "replay_matching",
    "replay_selected",
    "stop_discarding",
    "undo_discard",
    "undo_discard_of",
    "undo_possible_since",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """What became of a wish to replay. Without a replay nothing was changed and ``refusal`` says why."""

    replay: Replay | None = None
    chosen: int = 0
    skipped: int = 0
    refusal: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Discarded:
    """What became of a wish to discard, or to undo that. ``at`` names the act: its undo takes it, and so does what goes
    on with it when some are ``left``."""

    at: datetime
    count: int = 0
    skipped: int = 0
    left: int = 0
    refusal: str = ""


@transaction.atomic
def replay_selected(
    ids: Iterable[uuid.UUID],
    *,
    actor: User | None,
    reason: str = "",
    remote_address: str | None = None,
    plan: Plan = PLAIN,
) -> Planned:
    """Have these dead letters sent again. What is not dead, or in an active replay, is skipped."""
    by = By(actor=actor, reason=storable.text(reason), remote_address=remote_address)
    wanted = chosen_ids(ids)
    words = f"{len(wanted)} selected" if len(wanted) != 1 else f"dead letter {wanted[0]}"
    replay = freezing.begin(words, by.reason, actor, plan)
    chosen = freezing.freeze(replay, freezing.dead_by_id(wanted))
    if not chosen:
        return _refuse(Planned(skipped=len(wanted), refusal=_NONE_LEFT))
    data = {"replay": replay.pk, "chosen": chosen, "plan": plan.describe()}
    data["ids"] = [str(pk) for pk in wanted[:AUDITED_IDS]]
    record(Action.REPLAY_CREATED, f"{chosen} dead letters", by, data)
    return Planned(replay=replay, chosen=chosen, skipped=len(wanted) - chosen)


@transaction.atomic
def replay_matching(
    filters: Filters,
    *,
    as_of: datetime,
    expected_count: int,
    actor: User | None,
    actor_name: str = "",
    reason: str = "",
    remote_address: str | None = None,
    plan: Plan = PLAIN,
) -> Planned:
    """Have all that match sent again: exactly what the preview of ``as_of`` counted, less what has gone since, or goes
    before the worker has frozen a large choice."""
    by = By(actor=actor, reason=storable.text(reason), remote_address=remote_address, actor_name=actor_name)
    replay = freezing.begin(filters.describe(), by.reason, actor, plan)
    chosen = freezing.freeze_matching(replay, filters, as_of)
    if chosen > expected_count:
        return _refuse(Planned(refusal=grown(expected_count, chosen)))
    if not chosen:
        return _refuse(Planned(skipped=expected_count, refusal=_NONE_LEFT))
    data = {
        "replay": replay.pk,
        "chosen": chosen,
        "plan": plan.describe(),
        "filters": asdict(filters),
        "as_of": as_of.isoformat(),
    }
    record(Action.REPLAY_CREATED, f"{chosen} {filters.describe()}", by, data, consumer=filters.consumer)
    return Planned(replay=replay, chosen=chosen, skipped=expected_count - chosen)


@transaction.atomic
def discard_selected(
    ids: Iterable[uuid.UUID], *, actor: User | None, reason: str = "", remote_address: str | None = None
) -> Discarded:
    """Discard these dead letters; what is not dead is skipped. Can be undone for a while."""
    by = By(actor=actor, reason=storable.text(reason), remote_address=remote_address)
    wanted = chosen_ids(ids)
    now = timezone.now()
    count = sum(transitions.discard(rows, now) for rows in freezing.dead_by_id(wanted))
    if not count:
        return Discarded(at=now, skipped=len(wanted), refusal=_NONE_LEFT)
    data = {"at": now.isoformat(), "ids": [str(pk) for pk in wanted[:AUDITED_IDS]]}
    record(Action.DISCARDED, f"{count} dead letters", by, data)
    return Discarded(at=now, count=count, skipped=len(wanted) - count)


def discard_matching(
    filters: Filters,
    *,
    as_of: datetime,
    expected_count: int,
    actor: User | None,
    actor_name: str = "",
    reason: str = "",
    remote_address: str | None = None,
    going_on: datetime | None = None,
    most: int | None = None,
) -> Discarded:
    """Discard all that match: exactly what the preview of ``as_of`` counted, less what has gone since.

    ``most`` of them, if that is given; then with ``going_on``, which is the ``at`` of what came before, until none are
    ``left``. All of it is one act, in the audit once.
    """
    by = By(actor=actor, reason=storable.text(reason), remote_address=remote_address, actor_name=actor_name)
    now = timezone.now()
    at = began(going_on, now, since=as_of)
    ids, left = slice_of(filters.frozen(as_of), most)
    if len(ids) + left > expected_count:
        return Discarded(at=at, refusal=grown(expected_count, len(ids) + left))
    data = {"at": at.isoformat(), "filters": asdict(filters), "as_of": as_of.isoformat()}

    def tell(many: int) -> None:
        if at == now:
            record(Action.DISCARDED, f"{many} {filters.describe()}", by, data, consumer=filters.consumer)

    count = by_the_portion(ids, lambda rows: transitions.discard(rows.filter(state_at__lte=as_of), at), tell, left)
    if not count and not left:
        return Discarded(at=at, skipped=expected_count, refusal=_NONE_LEFT)
    return Discarded(at=at, count=count, skipped=expected_count - count - left, left=left)


def stop_discarding(at: datetime, *, of: int, actor: User | None, remote_address: str | None = None) -> int:
    """Go no further with the act ``at``, which was to discard ``of``; returns how many it has discarded."""
    count = DeadLetter.objects.filter(state=DeadLetterState.DISCARDED, state_at=at).count()
    by = By(actor=actor, remote_address=remote_address)
    record(Action.DISCARD_STOPPED, f"{count} of {of} dead letters were", by, {"began": at.isoformat()})
    return count


@transaction.atomic
def undo_discard(ids: Iterable[uuid.UUID], *, actor: User | None, remote_address: str | None = None) -> Discarded:
    """Make these dead again, unless they were discarded too long ago."""
    wanted = chosen_ids(ids)
    now = timezone.now()
    since = undo_possible_since(now)
    count = sum(transitions.undo_discard(rows, since, now) for rows in freezing.by_id(wanted))
    if count:
        _record_undone(count, now, By(actor=actor, remote_address=remote_address))
    return Discarded(at=now, count=count, skipped=len(wanted) - count, refusal="" if count else _TOO_LATE)


def undo_discard_of(
    at: datetime,
    *,
    actor: User | None,
    remote_address: str | None = None,
    going_on: datetime | None = None,
    most: int | None = None,
) -> Discarded:
    """Undo one act of discarding, named by its ``Discarded.at``; some at a time as in ``discard_matching``."""
    by = By(actor=actor, remote_address=remote_address)
    now = timezone.now()
    began_at = began(going_on, now)
    since = undo_possible_since(now)
    discarded = DeadLetter.objects.filter(state=DeadLetterState.DISCARDED, state_at=at, state_at__gte=since)
    ids, left = slice_of(discarded, most)

    def tell(many: int) -> None:
        if began_at == now:
            _record_undone(many, now, by)

    count = by_the_portion(
        ids, lambda rows: transitions.undo_discard(rows.filter(state_at=at), since, began_at), tell, left
    )
    return Discarded(at=began_at, count=count, left=left, refusal="" if count else _TOO_LATE)


def undo_possible_since(now: datetime) -> datetime:
    """What was discarded before this is about to be deleted and can't be brought back."""
    return now - timedelta(seconds=settings_now().discard_after_s)


_TOO_LATE = "Nothing to undo: it was discarded too long ago, or brought back already."
_NONE_LEFT = "None of them is dead any more: they were replayed or discarded in the meantime."


def _record_undone(count: int, at: datetime, by: By) -> None:
    record(Action.DISCARD_UNDONE, f"{count} dead letters", by, {"at": at.isoformat()})


def _refuse(planned: Planned) -> Planned:
    transaction.set_rollback(True)
    return planned

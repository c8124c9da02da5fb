"""What an operator does with retries that are parked: have them sent now, or not at all, and take that back.

Each act is audited, and one transaction, but for what is cancelled or brought back by the thousand. What became due, or
was taken by somebody else in the meantime, is skipped and counted. Owns no permissions: views check them. Sends
nothing: a replay is a row that a worker carries out.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from stompconsole.audit import Action
from stompconsole.deadletters import freezing, transitions
from stompconsole.deadletters.acting import AUDITED_IDS, By, chosen_ids, grown, record
from stompconsole.deadletters.by_portions import began, by_the_portion, ids_of, slice_of
from stompconsole.deadletters.filters import Filters
from stompconsole.models import DeadLetter, DeadLetterState, Replay

if TYPE_CHECKING:
    from django.contrib.auth.models import User

_NONE_LEFT = "None of them is scheduled any more: they were sent or cancelled in the meantime."
_TOO_LATE = "Nothing to undo: they were replayed or discarded in the meantime."


@dataclass(frozen=True, slots=True, kw_only=True)
class Rescheduled:
    """What became of a wish about retries. ``at`` names the act: the undo of a cancel takes it. ``left`` is how many
    the next slice is to go on with. With a ``refusal`` nothing was changed."""

    at: datetime
    count: int = 0
    skipped: int = 0
    left: int = 0
    replay: Replay | None = None
    refusal: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """Retries by id, or with ``filters`` all that matched when ``as_of`` ``count`` of them were counted."""

    ids: tuple[uuid.UUID, ...] = ()
    filters: Filters | None = None
    as_of: datetime | None = None
    count: int = 0

    @property
    def expected(self) -> int:
        """How many are meant."""
        return self.count if self.filters is not None else len(set(self.ids))

    @property
    def words(self) -> str:
        """For the record."""
        return self.filters.describe() if self.filters is not None else "selected"

    def freeze_for(self, replay: Replay) -> int:
        """Make them items of ``replay``; returns how many there are."""
        if self.filters is not None and self.as_of is not None:
            return freezing.freeze_matching(replay, self.filters, self.as_of)
        return freezing.freeze(replay, self._by_id())

    def some(self, most: int | None) -> tuple[list[uuid.UUID], int]:
        """The ids of the first of them, and how many there are beyond: of those that match, ``most`` if it is given."""
        if self.filters is not None and self.as_of is not None:
            return slice_of(self.filters.frozen(self.as_of, DeadLetterState.SCHEDULED), most)
        return [pk for rows in self._by_id() for pk in ids_of(rows)], 0

    def _by_id(self) -> Iterable[QuerySet[DeadLetter]]:
        return freezing.scheduled_by_id(chosen_ids(self.ids))

    def still(self, rows: QuerySet[DeadLetter]) -> QuerySet[DeadLetter]:
        """Those of ``rows`` that are what was counted: not what was sent meanwhile, and waits for its next retry."""
        return rows if self.as_of is None else rows.filter(state_at__lte=self.as_of)

    def data(self) -> dict[str, Any]:
        """For the audit."""
        if self.filters is not None and self.as_of is not None:
            return {"filters": asdict(self.filters), "as_of": self.as_of.isoformat()}
        return {"ids": [str(pk) for pk in chosen_ids(self.ids)[:AUDITED_IDS]]}


@transaction.atomic
def send_now(
    chosen: Chosen, *, actor: User | None, actor_name: str = "", remote_address: str | None = None
) -> Rescheduled:
    """Have these retries sent before they are due. They go on where they were: this uses no step of theirs."""
    now = timezone.now()
    replay = freezing.begin_retries(f"retries sent now: {chosen.expected:,} {chosen.words}", actor)
    count = chosen.freeze_for(replay)
    if count > chosen.expected or not count:
        transaction.set_rollback(True)
        return _refused(chosen, now, count)
    by = By(actor=actor, actor_name=actor_name, remote_address=remote_address)
    _record(Action.RETRIES_SENT, count, chosen, by, {"replay": replay.pk, **chosen.data()})
    return Rescheduled(at=now, count=count, skipped=chosen.expected - count, replay=replay)


def cancel(
    chosen: Chosen,
    *,
    actor: User | None,
    actor_name: str = "",
    remote_address: str | None = None,
    going_on: datetime | None = None,
    most: int | None = None,
) -> Rescheduled:
    """Have these not be tried again: they stay as dead letters. Can be undone until something is done with them.

    ``most`` of all that match, if that is given; then with ``going_on``, which is the ``at`` of what came before, until
    none are ``left``. All of it is one act, in the audit once.
    """
    now = timezone.now()
    at = began(going_on, now, since=chosen.as_of)
    ids, left = chosen.some(most)
    if len(ids) + left > chosen.expected:
        return _refused(chosen, at, len(ids) + left)
    by = By(actor=actor, actor_name=actor_name, remote_address=remote_address)
    data = {"at": at.isoformat(), **chosen.data()}

    def tell(many: int) -> None:
        if at == now:
            _record(Action.RETRIES_CANCELLED, many, chosen, by, data)

    count = by_the_portion(ids, lambda rows: transitions.cancel_scheduled(chosen.still(rows), at), tell, left)
    if not count and not left:
        return _refused(chosen, at, 0)
    return Rescheduled(at=at, count=count, skipped=chosen.expected - count - left, left=left)


def stop_cancelling(at: datetime, *, of: int, actor: User | None, remote_address: str | None = None) -> int:
    """Go no further with the act ``at``, which was to cancel ``of``; returns how many it has cancelled."""
    count = _cancelled(at).count()
    by = By(actor=actor, remote_address=remote_address)
    record(Action.RETRIES_CANCEL_STOPPED, f"{count} of {_retries(of)} were", by, {"began": at.isoformat()})
    return count


def undo_cancel(
    at: datetime,
    *,
    actor: User | None,
    remote_address: str | None = None,
    going_on: datetime | None = None,
    most: int | None = None,
) -> Rescheduled:
    """Schedule anew what one act cancelled, named by its ``Rescheduled.at``; what was due meanwhile is sent at once.
    Some at a time as in ``cancel``."""
    now = timezone.now()
    began_at = began(going_on, now)
    by = By(actor=actor, remote_address=remote_address)
    data = {"at": began_at.isoformat(), "of": at.isoformat()}
    ids, left = slice_of(_cancelled(at), most)

    def tell(many: int) -> None:
        if began_at == now:
            record(Action.RETRIES_RESTORED, _retries(many), by, data)

    count = by_the_portion(ids, lambda rows: transitions.undo_cancel(rows, at, began_at), tell, left)
    return Rescheduled(at=began_at, count=count, left=left, refusal="" if count else _TOO_LATE)


def _cancelled(at: datetime) -> QuerySet[DeadLetter]:
    return DeadLetter.objects.filter(state=DeadLetterState.DEAD, state_at=at, due_at__isnull=False)


def _record(action: Action, count: int, chosen: Chosen, by: By, data: dict[str, Any]) -> None:
    consumer = chosen.filters.consumer if chosen.filters is not None else ""
    record(action, f"{_retries(count)}, {chosen.words}", by, data, consumer=consumer)


def _refused(chosen: Chosen, at: datetime, count: int) -> Rescheduled:
    """It touched nothing, or would have touched more than was counted."""
    refusal = grown(chosen.expected, count) if count else _NONE_LEFT
    return Rescheduled(at=at, skipped=chosen.expected, refusal=refusal)


def _retries(count: int) -> str:
    return "1 retry" if count == 1 else f"{count} retries"

"""What is tried: one dead letter, or a sample of those that match, as the rows of a trial. Each act is audited.

A sample is spread: the newest, the oldest, and the rest from moments in between. Owns no permissions: views check them.
"""

from __future__ import annotations

import random
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from stompconsole import audit
from stompconsole.audit import Action
from stompconsole.conf import settings_now
from stompconsole.deadletters.filters import Filters
from stompconsole.deadletters.locks import lock
from stompconsole.models import DeadLetter, DeadLetterState, FailureGroup, Trial, TrialItem, TrialState

if TYPE_CHECKING:
    from django.contrib.auth.models import User

SIZES = (10, 50, 100)
MOST = 1_000

SWITCH = 'STOMPCONSOLE["TRY_HANDLERS"]'
OFF = (
    f"Trying handlers is off: set {SWITCH} to yes, for the web server and the workers, if what your handlers do beyond"
    " the database may be done once more."
)
NOTHING = "There is nothing to try: none of it is dead any more."
UNDER_WAY = (TrialState.WAITING, TrialState.RUNNING)


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """What became of a wish to try. Without a trial ``refusal`` says why there is none."""

    trial: Trial | None = None
    refusal: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class By:
    """Who wishes it, and from where."""

    user: User | None
    name: str = ""
    remote_address: str | None = None


def is_on() -> bool:
    """Whether the settings allow it."""
    return settings_now().try_handlers


@transaction.atomic
def try_one(dead_letter_id: uuid.UUID, by: By) -> Chosen:
    """Try the handler on one dead letter, whatever its state. One that is being tried is not tried twice at once."""
    if not is_on():
        return Chosen(refusal=OFF)
    rows = DeadLetter.objects.filter(pk=dead_letter_id)
    # Two operators at once: the second one waits here, and then looks at what the first has begun.
    lock(rows)
    letter = rows.only("consumer_name", "group").first()
    if letter is None:
        return Chosen(refusal="There is no such dead letter: it may have been deleted.")
    going = Trial.objects.filter(state__in=UNDER_WAY, total=1, group=None, items__dead_letter=letter.pk).first()
    if going is not None:
        return Chosen(trial=going)
    words = f"dead letter {letter.pk} of {letter.consumer_name or 'no consumer'}"
    return _begin(words, [letter.pk], None, by)


@transaction.atomic
def try_group(group: FailureGroup, size: int, by: By) -> Chosen:
    """Try the handler on a sample of the dead letters of a group."""
    if not is_on():
        return Chosen(refusal=OFF)
    lock(FailureGroup.objects.filter(pk=group.pk))
    going = group.trials.filter(state__in=UNDER_WAY).first()
    if going is not None:
        return Chosen(trial=going)
    filters = Filters(group=str(group.pk), state=DeadLetterState.DEAD)
    return _begin(f"a sample of {filters.describe()}", sample(filters.queryset(), size), group, by)


@transaction.atomic
def try_matching(filters: Filters, size: int, by: By) -> Chosen:
    """Try handlers on a sample of all that match."""
    if not is_on():
        return Chosen(refusal=OFF)
    return _begin(f"a sample of {filters.describe()}", sample(filters.queryset(), size), None, by)


def sample(rows: QuerySet[DeadLetter], size: int) -> list[uuid.UUID]:
    """Ids of at most ``size`` of them: a third the newest, a third the oldest, the rest from moments in between."""
    size = max(1, min(size, MOST))
    newest = rows.order_by("-failed_at", "-pk").values_list("pk", "failed_at")
    first = list(newest[: size + 1])
    if len(first) <= size:
        return [pk for pk, _ in first]
    share = max(1, size // 3)
    last = list(rows.order_by("failed_at", "pk").values_list("pk", "failed_at")[:share])
    chosen = dict([*first[:share], *last])
    until, since = first[0][1], last[0][1]
    for _ in range(size - len(chosen)):
        # By the index of the times, each: sorting a million rows at random would take seconds.
        at = since + random.random() * (until - since)  # noqa: S311
        if found := newest.filter(failed_at__lte=at).exclude(pk__in=chosen).first():
            chosen.setdefault(*found)
    # Where they crowd in one moment: filled up with the next newest.
    for pk, at in first[share:]:
        if len(chosen) >= size:
            break
        chosen.setdefault(pk, at)
    return list(chosen)[:size]


@transaction.atomic
def cancel(trial_id: int, by: By) -> bool:
    """Try no more of it; what was tried stays. False if it had ended before."""
    going = Trial.objects.filter(pk=trial_id, state__in=UNDER_WAY)
    name = by.user.get_username() if by.user is not None else by.name
    if not going.update(state=TrialState.CANCELLED, finished_at=timezone.now(), note=f"cancelled by {name}"):
        return False
    _record(Action.TRIAL_CANCELLED, f"trial {trial_id}", by, {"trial": trial_id})
    return True


def _begin(words: str, ids: Sequence[uuid.UUID], group: FailureGroup | None, by: By) -> Chosen:
    if not ids:
        return Chosen(refusal=NOTHING)
    trial = Trial.objects.create(selection=words[:500], group=group, created_by=by.user, total=len(ids))
    TrialItem.objects.bulk_create([TrialItem(trial=trial, dead_letter_id=pk) for pk in ids])
    data = {"trial": trial.pk, "chosen": len(ids), "ids": [str(pk) for pk in ids[:100]]}
    _record(Action.TRIAL_STARTED, words, by, data)
    return Chosen(trial=trial)


def _record(action: Action, target: str, by: By, data: dict[str, object]) -> None:
    audit.record(action, target, actor=by.user, actor_name=by.name, data=dict(data), remote_address=by.remote_address)

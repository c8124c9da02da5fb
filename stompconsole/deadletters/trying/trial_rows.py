"""A trial as the worker that carries it out reads and writes it: its lease, its next item, what came of it, its end.

Synchronous, each function by itself; times of the lease by the database's clock.
"""

from __future__ import annotations

import logging
import uuid
from dataclasses import replace
from datetime import timedelta

from django.db import connection, transaction
from django.db.models import Count, F, Q
from django.db.models.functions import Now
from django.utils import timezone

from stompconsole import audit
from stompconsole.audit import Action
from stompconsole.conf import settings_now
from stompconsole.deadletters import grouping, sealing, storable
from stompconsole.deadletters.trying.choosing import SWITCH
from stompconsole.deadletters.trying.verdict import Verdict
from stompconsole.errors import ConfigurationError
from stompconsole.models import DeadLetter, Trial, TrialItem, TrialItemState, TrialState

logger = logging.getLogger(__name__)

KEPT = timedelta(days=7)
"""Trials say what was so then: code and data have changed after a week."""

NOT_TAKEN_AFTER = timedelta(hours=1)
MOST_BEGUN = 2
ENDED_TWICE = "Twice the worker that tried it has ended meanwhile: it is not tried again."

_UNFINISHED = Q(state__in=(TrialState.WAITING, TrialState.RUNNING))


def take(worker_id: uuid.UUID, lease_s: float) -> int | None:
    """Lease a trial that nobody carries out; None when there is none."""
    free = Q(lease_until=None) | Q(lease_until__lt=Now()) | Q(worker=None) | Q(worker_id=worker_id)
    for pk in Trial.objects.filter(_UNFINISHED, free).order_by("pk").values_list("pk", flat=True)[:10]:
        lease_until = Now() + timedelta(seconds=lease_s)
        taken = Trial.objects.filter(_UNFINISHED, free, pk=pk)
        if taken.update(worker_id=worker_id, lease_until=lease_until, state=TrialState.RUNNING):
            return pk
    return None


def renew(trial_id: int, worker_id: uuid.UUID, lease_s: float) -> bool:
    """Prolong the lease; false if another worker has it, or it is to go on no more."""
    held = Trial.objects.filter(pk=trial_id, worker_id=worker_id, state=TrialState.RUNNING)
    return bool(held.update(lease_until=Now() + timedelta(seconds=lease_s)))


def give_up_lease(trial_id: int, worker_id: uuid.UUID) -> None:
    """Let another worker go on at once."""
    Trial.objects.filter(pk=trial_id, worker_id=worker_id).update(worker=None, lease_until=None)


def next_item(trial_id: int, worker_id: uuid.UUID) -> int | None:
    """The next one to try, marked as begun; None when none is left. One that was begun too often is given up on: it
    may be what ends the workers."""
    waiting = TrialItem.objects.filter(trial_id=trial_id, state=TrialItemState.WAITING, trial__worker_id=worker_id)
    given_up = waiting.filter(begun__gte=MOST_BEGUN).values_list("pk", flat=True)
    TrialItem.objects.filter(pk__in=list(given_up)).update(
        state=TrialItemState.SKIPPED, notes=[ENDED_TWICE], finished_at=timezone.now()
    )
    pk = waiting.order_by("pk").values_list("pk", flat=True).first()
    if pk is not None:
        TrialItem.objects.filter(pk=pk).update(begun=F("begun") + 1)
    return pk


def unbegin(item_id: int) -> None:
    """It was begun and stopped for a reason of ours: that does not count."""
    TrialItem.objects.filter(pk=item_id, state=TrialItemState.WAITING, begun__gt=0).update(begun=F("begun") - 1)


def record(item_id: int, verdict: Verdict) -> None:
    """What came of it. Safe to repeat."""
    item = TrialItem.objects.select_related("dead_letter__consumer").filter(pk=item_id).first()
    if item is None:
        return
    verdict = _storable(verdict.trimmed(), item.dead_letter)
    error = {
        "error_type": storable.text(verdict.error_type, 255),
        "error_message": storable.text(verdict.error_message),
        "traceback": storable.text(verdict.traceback),
    }
    now_key = _fingerprint(item.dead_letter, **error) if verdict.error_type else ""
    before = item.dead_letter
    TrialItem.objects.filter(pk=item_id, state=TrialItemState.WAITING).update(
        state=verdict.state,
        seconds=verdict.seconds,
        **error,
        fingerprint=now_key,
        same_as_before=bool(now_key)
        and now_key
        == _fingerprint(
            before, error_type=before.error_type, error_message=before.error_message, traceback=before.traceback
        ),
        notes=[storable.text(note) for note in verdict.notes],
        output=storable.text(verdict.output),
        finished_at=timezone.now(),
    )


def _storable(verdict: Verdict, letter: DeadLetter) -> Verdict:
    """The same without what redaction keeps out of the database."""
    try:
        quotes = sealing.quotes_of(letter)
    except ConfigurationError as error:
        told = f"What it said is not kept, since what must not be stored can't be told: {error}"
        return replace(verdict, error_message="", traceback="", output="", notes=(told,))
    return replace(
        verdict,
        error_message=quotes.taken_out_of(verdict.error_message),
        traceback=quotes.taken_out_of(verdict.traceback),
        output=quotes.taken_out_of(verdict.output),
        notes=tuple(map(quotes.taken_out_of, verdict.notes)),
    )


def _fingerprint(letter: DeadLetter, *, error_type: str, error_message: str, traceback: str) -> str:
    return grouping.group_of(
        consumer_id=letter.consumer_id,
        consumer_name=letter.consumer_name,
        error_type=error_type,
        error_message=error_message,
        traceback=traceback,
        handler="",
        at=letter.failed_at,
    ).fingerprint.key


def skip_rest(trial_id: int, why: str) -> None:
    """None of what is left can be tried."""
    waiting = TrialItem.objects.filter(trial_id=trial_id, state=TrialItemState.WAITING)
    waiting.update(state=TrialItemState.SKIPPED, notes=[storable.text(why, 500)], finished_at=timezone.now())


@transaction.atomic
def finish(trial_id: int, worker_id: uuid.UUID, worker_name: str) -> bool:
    """The trial is done, if nothing of it is waiting any more; false if something is, or it is not ours."""
    running = Trial.objects.filter(pk=trial_id, worker_id=worker_id, state=TrialState.RUNNING)
    done = running.exclude(items__state=TrialItemState.WAITING)
    if not done.update(state=TrialState.DONE, finished_at=timezone.now(), worker=None, lease_until=None):
        return False
    trial = Trial.objects.select_related("created_by").get(pk=trial_id)
    counts = dict(trial.items.order_by().values_list("state").annotate(count=Count("pk")))
    data = {"trial": trial_id, **counts}
    audit.record(Action.TRIAL_DONE, trial.selection, actor=None, actor_name=worker_name, data=data)
    return True


def purge() -> int:
    """Delete old trials, and cancel those that no worker takes; returns how many were deleted."""
    now = timezone.now()
    waiting = Trial.objects.filter(state=TrialState.WAITING, created_at__lt=now - NOT_TAKEN_AFTER)
    words = f"No worker took it: {SWITCH} has to be on where the workers run, too."
    waiting.update(state=TrialState.CANCELLED, finished_at=now, note=words)
    old = Trial.objects.filter(created_at__lt=now - KEPT)
    return old.delete()[1].get("stompconsole.Trial", 0)


def limit_s() -> float:
    """How long a handler may take. Where its transaction keeps every worker from renewing its leases, a third of a
    lease at most: a trial must not stop the consumers."""
    settings = settings_now()
    return min(settings.try_limit_s, settings.lease_s / 3) if locks_everybody_out() else settings.try_limit_s


def locks_everybody_out() -> bool:
    """Whether a transaction that writes keeps all others from writing, leases included."""
    return not connection.features.has_select_for_update

"""Failures that are expected: discarded by themselves, or replayed once their consumer is healthy again.

Done by one of the living workers now and then; done twice it does no harm. An expected replay goes by a canary and
stops when one fails as before, so that a downstream that is still away costs one message. Blocking calls.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db.models import Q, QuerySet
from django.utils import timezone

from stompconsole.deadletters import plans, selection
from stompconsole.deadletters.filters import Filters
from stompconsole.deadletters.plans import Plan
from stompconsole.delivery.specs import Purpose, SubscriptionState
from stompconsole.models import (
    DeadLetter,
    DeadLetterState,
    Expected,
    FailureGroup,
    ReplayState,
    Subscription,
    open_breakers,
)

REASON = "expected"

QUIET = timedelta(seconds=60)
"""How long a group must not have failed before its consumer is taken for healthy."""

AGAIN_AFTER = timedelta(minutes=10)
"""How long an expected replay that was stopped, or is done, is left alone."""

MOST_REPLAYS = 5
"""A message replayed so often is for a person."""

DISCARDED_AT_ONCE = 2_000

PLAN = Plan(canary=plans.CANARY, stop_on_same=True)

_OVER = (ReplayState.DONE, ReplayState.STOPPED, ReplayState.CANCELLED)


def act(now: datetime | None = None) -> int:
    """Discard or replay what is expected; returns how many groups were acted on."""
    now = now or timezone.now()
    groups = FailureGroup.objects.exclude(expected=Expected.NO).select_related("consumer", "last_replay")
    return sum(_discard(group) if group.expected == Expected.DISCARD else _replay(group, now) for group in groups)


def _discard(group: FailureGroup) -> int:
    # Some at a time: the worker that does it has leases to renew, and on SQLite nobody else writes meanwhile.
    ids = list(_dead(group).order_by("failed_at").values_list("pk", flat=True)[:DISCARDED_AT_ONCE])
    return int(bool(ids) and selection.discard_selected(ids, actor=None, reason=REASON).count > 0)


def _replay(group: FailureGroup, now: datetime) -> int:
    if not _is_due(group, now) or not _is_healthy(group, now):
        return 0
    filters = Filters(group=str(group.pk), text=f"replayed:<{MOST_REPLAYS}")
    as_of = timezone.now()
    if not (count := filters.frozen(as_of).count()):
        return 0
    planned = selection.replay_matching(
        filters, as_of=as_of, expected_count=count, actor=None, reason=REASON, plan=PLAN
    )
    return int(planned.replay is not None)


def _dead(group: FailureGroup) -> QuerySet[DeadLetter]:
    return DeadLetter.objects.filter(group=group, state=DeadLetterState.DEAD)


def _is_due(group: FailureGroup, now: datetime) -> bool:
    last = group.last_replay
    if last is None:
        return True
    return last.state in _OVER and last.created_at < now - AGAIN_AFTER


def _is_healthy(group: FailureGroup, now: datetime) -> bool:
    """Whether its consumer runs, none of its breakers is open, and has not failed so for a while."""
    if group.consumer is None or group.consumer.paused or group.last_failed_at > now - QUIET:
        return False
    slots = Subscription.objects.filter(consumer=group.consumer)
    running = Q(state=SubscriptionState.RUNNING.value, purpose=Purpose.CONSUME.value)
    # One open breaker of several is enough: what is downstream is the same for all slots.
    return slots.filter(running).exclude(worker=None).exists() and not slots.filter(open_breakers()).exists()

"""``deadletters send-now`` and ``cancel``: retries that wait for their time, sent before it or not at all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.core.management.base import CommandError

from stompconsole.deadletters import scheduling
from stompconsole.deadletters.filters import Filters, Preview, preview
from stompconsole.deadletters.scheduling import Chosen, Rescheduled
from stompconsole.management.choosing import filters_of
from stompconsole.models import DeadLetterState


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryAct:
    """What is done with them, and how it is said."""

    do: Callable[..., Rescheduled]
    done: str


SEND_NOW = RetryAct(do=scheduling.send_now, done="sent now")
CANCEL = RetryAct(do=scheduling.cancel, done="cancelled")


def counted(options: dict[str, Any]) -> tuple[Filters, Preview]:
    """Which are meant, and how many there are. Raises CommandError where another state than theirs is asked for."""
    if options["state"] not in {"", DeadLetterState.SCHEDULED}:
        raise CommandError(f"--state {options['state']!r}: what waits for its retry is scheduled, leave it out")
    filters = filters_of({**options, "state": DeadLetterState.SCHEDULED.value})
    return filters, preview(filters, DeadLetterState.SCHEDULED)


def carry_out(act: RetryAct, filters: Filters, seen: Preview, who: str) -> Rescheduled:
    """Do it. Raises CommandError with the reason where nothing was done."""
    done = act.do(Chosen(filters=filters, as_of=seen.as_of, count=seen.count), actor=None, actor_name=who)
    if done.refusal:
        raise CommandError(done.refusal)
    return done


def words(act: RetryAct, done: Rescheduled) -> str:
    """What came of it, in a sentence or two."""
    left_out = f" {done.skipped:,} left out: not scheduled any more." if done.skipped else ""
    carried = f" by replay {done.replay.pk}, which the workers carry out" if done.replay is not None else ""
    return f"{done.count:,} {'retry' if done.count == 1 else 'retries'} {act.done}{carried}.{left_out}"


def told(done: Rescheduled) -> dict[str, Any]:
    """The same as JSON."""
    replay = {"replay": done.replay.pk} if done.replay is not None else {}
    return {"count": done.count, "skipped": done.skipped, **replay}

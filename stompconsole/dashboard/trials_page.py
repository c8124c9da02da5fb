"""How a trial goes: its sentence, its bar, what fails alike, its messages, and one of them beside its old failure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Case, QuerySet, Value, When
from django.http import HttpRequest
from django.template.loader import render_to_string
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from stompconsole.dashboard.drawing import split_bar
from stompconsole.dashboard.letter.tracebacks import Part, parts
from stompconsole.dashboard.stream.fragments import Fragments
from stompconsole.deadletters.trying import choosing, results, trial_rows
from stompconsole.deadletters.trying.results import Result
from stompconsole.models import DeadLetter, FailureGroup, Trial, TrialItem, TrialItemState

ITEMS_SHOWN = 100
LONG_WAIT_S = 5.0

NOT_UNDONE = (
    "The handler really runs. What it writes to Django's databases is rolled back and what it publishes is not sent."
    " Whatever else it does is done: HTTP calls, files, mails, caches, other brokers, connections of its own."
)
PERMISSION = "try handlers on dead letters"

_ORDER = (TrialItemState.FAILED, TrialItemState.TIMED_OUT, TrialItemState.SKIPPED, TrialItemState.PASSED)


def lock(request: HttpRequest) -> SafeString:
    """Attributes of a button that leads to trying: none when it is allowed, else disabled with the reason."""
    if not choosing.is_on():
        return format_html(' disabled title="{}"', choosing.OFF)
    if not request.user.has_perm("stompconsole.try_deadletter"):
        return format_html(' disabled title="You may not {0}: ask for the permission to {0}."', PERMISSION)
    return SafeString("")


@dataclass(frozen=True, slots=True, kw_only=True)
class LastTrial:
    """What the last trial of a group has found."""

    href: str
    created_at: datetime
    words: str


def last_trial(group: FailureGroup) -> LastTrial | None:
    """Of this group; three queries when there was one."""
    trial = group.trials.order_by("-pk").first()
    if trial is None:
        return None
    words = results.result_of(trial).sentence
    return LastTrial(href=trial.get_absolute_url(), created_at=trial.created_at, words=words)


def fragments(trial: Trial, item_id: int | None, now: datetime) -> Fragments:
    """All of a trial's page that changes."""
    result = results.result_of(trial)
    item = item_of(trial, item_id)
    return {
        "trial-summary": summary_html(result, now),
        "sentence": result.sentence,
        "trial-kinds": kinds_html(result),
        "trial-items": items_html(trial, item),
        "trial-item": item_html(item, now),
        "trial-state": SafeString("<i hidden data-going></i>" if result.under_way else "<i hidden></i>"),
    }


def of_topic(subject: str) -> Fragments:
    """The fragments of an open page; ``subject`` is ``trial`` or ``trial:item``."""
    trial_id, _, item_id = subject.partition(":")
    trial = Trial.objects.filter(pk=int(trial_id)).first() if _is_id(trial_id) else None
    if trial is None:
        return {}
    return fragments(trial, int(item_id) if _is_id(item_id) else None, timezone.now())


def _is_id(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 19


def item_of(trial: Trial, item_id: int | None) -> TrialItem | None:
    """The item that is looked at: the one that is named, or the only one."""
    items = trial.items.select_related("dead_letter").defer("dead_letter__body", "dead_letter__search_text")
    if item_id is not None:
        return items.filter(pk=item_id).first()
    return items.first() if trial.total == 1 else None


def _in_order(trial: Trial) -> QuerySet[TrialItem]:
    """What does not work first."""
    order = Case(
        *(When(state=state, then=Value(position)) for position, state in enumerate(_ORDER)), default=Value(len(_ORDER))
    )
    heavy = ("body", "search_text", "headers", "document", "traceback")
    items = trial.items.select_related("dead_letter").defer(
        "output", "traceback", *(f"dead_letter__{name}" for name in heavy)
    )
    return items.order_by(order, "pk")


def summary_html(result: Result, now: datetime) -> str:
    """Pill, bar and counts, and why it waits."""
    bar = split_bar(
        [("processed", result.passed), ("failed", result.failed + result.timed_out), ("skipped", result.skipped)],
        result.trial.total,
    )
    waits_long = (now - result.trial.created_at).total_seconds() > LONG_WAIT_S
    context = {
        "result": result,
        "bar": bar,
        "stuck": result.trial.state == "waiting" and waits_long,
        "switch": choosing.SWITCH,
    }
    return render_to_string("stompconsole/parts/trial_summary.html", context)


def kinds_html(result: Result) -> str:
    """What fails, by what failures share."""
    return render_to_string("stompconsole/parts/trial_kinds.html", {"result": result})


def items_html(trial: Trial, shown: TrialItem | None) -> str:
    """Its dead letters, each with what came of it."""
    context = {"items": list(_in_order(trial)[:ITEMS_SHOWN]), "trial": trial, "shown": shown}
    return render_to_string("stompconsole/parts/trial_items.html", context)


def item_html(item: TrialItem | None, now: datetime) -> str:
    """One of them: how it died, and what comes of it now."""
    if item is None:
        return ""
    letter: DeadLetter = item.dead_letter
    before: list[Part] = parts(letter.traceback)
    context: Mapping[str, Any] = {
        "item": item,
        "letter": letter,
        "before": before,
        "after": parts(item.traceback),
        "now": now,
    }
    return render_to_string("stompconsole/parts/trial_item.html", context)


def limits() -> Mapping[str, str]:
    """What a plan says of how long it may take."""
    return {"limit": f"{trial_rows.limit_s():.3g} s"}

"""What the page of one dead letter shows and what of it changes while it is open."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime

from django.template.loader import render_to_string
from django.utils import timezone

from stompconsole.dashboard.letter import schedule
from stompconsole.dashboard.letter.history import history
from stompconsole.dashboard.letter.tracebacks import Part, parts
from stompconsole.dashboard.stream.fragments import Fragments
from stompconsole.models import DeadLetter, Failure


@dataclass(frozen=True, slots=True, kw_only=True)
class Death:
    """One death on its tab, newest first. ``chosen`` is the one that is shown."""

    id: str
    label: str
    failure: Failure | DeadLetter
    at: datetime
    chosen: bool
    parts: list[Part]


def deaths(letter: DeadLetter, wanted: str) -> list[Death]:
    """All its deaths. One whose failure was not told by us has one, made of the row itself. One query."""
    failures: list[Failure | DeadLetter] = [*letter.failures.order_by("-at")] or [letter]
    shown = next((failure for failure in failures if str(failure.pk) == wanted), failures[0])
    return [
        _death(failure, number=len(failures) - index, last=index == 0, chosen=failure is shown)
        for index, failure in enumerate(failures)
    ]


def _death(failure: Failure | DeadLetter, *, number: int, last: bool, chosen: bool) -> Death:
    return Death(
        id=str(failure.pk),
        label="Last" if last else f"{number}.",
        failure=failure,
        at=failure.at if isinstance(failure, Failure) else failure.failed_at,
        chosen=chosen,
        parts=parts(failure.traceback) if chosen else [],
    )


def fragments(subject: str) -> Fragments:
    """Its state and its history."""
    try:
        rows = DeadLetter.objects.select_related("consumer")
        rows = rows.defer("body", "headers", "search_text", "traceback", "sealed")
        letter = rows.get(pk=uuid.UUID(subject))
    except (ValueError, DeadLetter.DoesNotExist):
        return {}
    now = timezone.now()
    return {"letter-state": schedule.state(letter, now), "history": history_html(letter, now)}


def history_html(letter: DeadLetter, now: datetime) -> str:
    """What became of it."""
    return render_to_string("stompconsole/parts/history.html", {"events": history(letter), "now": now})

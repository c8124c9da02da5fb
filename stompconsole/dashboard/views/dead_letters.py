"""The list of dead letters, and one of them."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.utils import timezone
from django.views.decorators.http import require_safe

from stompconsole.conf import settings_now
from stompconsole.dashboard import shell, trials_page
from stompconsole.dashboard.access import console_view
from stompconsole.dashboard.formdata import texts
from stompconsole.dashboard.letter import bodies, schedule
from stompconsole.dashboard.letter import page as letter_page
from stompconsole.dashboard.letter.headers import grouped
from stompconsole.dashboard.news import newest
from stompconsole.dashboard.paging import (
    BROKER_SECRETS,
    NOT_IN_LISTS,
    SECRETS,
    neighbours,
    newer_than,
    older_than,
    page_ahead,
    page_of,
)
from stompconsole.dashboard.stream.topics import Page, Topic
from stompconsole.dashboard.tabs import list_filters, list_query, tabs
from stompconsole.deadletters import counting, holding, searching
from stompconsole.deadletters.counting import MOST_COUNTED, By
from stompconsole.deadletters.selection import Filters, undo_possible_since
from stompconsole.models import Consumer, DeadLetter, DeadLetterState

FIELD = "failed_at"
DUE = "due_at"
"""What is scheduled is listed by the time it is due, the soonest first."""
MOST_ERROR_TYPES = 30
IN_FORM = ("state", "text", "consumer", "error_type", "failed_after")
"""Filters with a field of their own in the form of the list; the others travel along hidden."""
SPANS = {"15m": "last 15 min", "1h": "last hour", "24h": "last day", "7d": "last week"}
"""Of the time of failure, offered in the form."""


@require_safe
@console_view()
def dead_letters(request: HttpRequest) -> HttpResponse:
    """Those in one state (dead, unless the URL says otherwise) that match the filters."""
    filters = list_filters(texts(request.GET))
    rows = counting.narrowed(filters.queryset(), filters).select_related("consumer").defer(*NOT_IN_LISTS)
    ahead = filters.state == DeadLetterState.SCHEDULED
    due = rows.filter(due_at__isnull=False)
    found = page_ahead(due, texts(request.GET), DUE) if ahead else page_of(rows, texts(request.GET), FIELD)
    counts = counting.by_state(filters)
    now = timezone.now()
    context = {
        "filters": filters,
        "query": list_query(filters),
        "tabs": tabs(filters, counts),
        "page": found,
        "total": counts.of(filters.state),
        "complete": counts.complete,
        "filtered": bool(replace(filters, state="").query_string()),
        "narrowed": [(name, value) for name, value in asdict(filters).items() if value and name not in IN_FORM],
        "fields": [(name, value) for name, value in asdict(filters).items() if value],
        "problems": filters.problems(),
        "remarks": searching.told_of(filters.text),
        "search_help": searching.HELP,
        "consumers": _consumer_names(filters),
        "spans": SPANS,
        "error_types": _error_types(filters),
        "now": now,
        "undo_since": undo_possible_since(now),
    }
    since = newest(list(rows[:1])) if ahead else newest(found.rows)
    topic = Topic(page=Page.DEAD_LETTERS, filters=filters, since=since) if ahead or not found.newer else None
    return shell.page(request, "dead_letters.html", context, section="dead-letters", topic=topic)


def _consumer_names(filters: Filters) -> list[str]:
    # The one in the URL stays a choice even when its row is gone.
    names = set(Consumer.objects.values_list("name", flat=True)) | {filters.consumer}
    return sorted(names - {""})


def _error_types(filters: Filters) -> list[tuple[str, int]]:
    rows = counting.heaps(replace(filters, error_type="", text=""), By.ERROR_TYPE, size=MOST_ERROR_TYPES).rows
    found = [(heap.label, heap.dead) for heap in rows]
    # The one in the URL stays a choice even when none of it is dead.
    chosen = [(filters.error_type, 0)] if filters.error_type not in {"", *dict(found)} else []
    return found + chosen


@require_safe
@console_view()
def dead_letter(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """One dead letter: why it died first, then what it is and what became of it."""
    letter = _letter(pk)
    filters = list_filters(texts(request.GET))
    now = timezone.now()
    deaths = letter_page.deaths(letter, request.GET.get("failure", ""))
    context = {
        "letter": letter,
        "title": str(letter) if letter.error_type else "Dead-lettered by the broker",
        "deaths": deaths,
        "death": next(death for death in deaths if death.chosen),
        "body": _body(letter, request.GET.get("body", "")),
        "held": holding.where(letter),
        "header_groups": grouped(letter.headers, letter.consumer.broker.kind if letter.consumer else ""),
        "state": schedule.state(letter, now),
        "history": letter_page.history_html(letter, now),
        "try_lock": trials_page.lock(request),
        "undo_since": undo_possible_since(now),
        "now": now,
        **_place(letter, filters),
    }
    topic = Topic(page=Page.DEAD_LETTER, subject=str(pk))
    return shell.page(request, "dead_letter.html", context, section="dead-letters", topic=topic)


def _body(letter: DeadLetter, wanted: str) -> bodies.ShownBody:
    # PostgreSQL hands out a memoryview.
    return bodies.show(bytes(letter.body), letter.content_type, wanted, settings_now().max_body_shown)


def _place(letter: DeadLetter, filters: Filters) -> Mapping[str, Any]:
    """Where it stands in the list it was opened from."""
    rows = counting.narrowed(filters.queryset(), filters)
    ahead = filters.state == DeadLetterState.SCHEDULED and letter.due_at is not None
    field = DUE if ahead else FIELD
    newer, older = neighbours(rows, letter, field)
    before = older_than(rows, letter, field) if ahead else newer_than(rows, letter, field)
    return {
        "filters": filters,
        "query": list_query(filters),
        "newer": older if ahead else newer,
        "older": newer if ahead else older,
        "position": before[:MOST_COUNTED].count() + 1,
        "total": counting.by_state(filters).of(filters.state),
    }


@require_safe
@console_view()
def dead_letter_body(_request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """The body as it came, to be saved: never shown by the browser, whatever it claims to be."""
    letter = _letter(pk)
    if letter.held:
        raise Http404(holding.where(letter))
    return HttpResponse(
        bytes(letter.body),
        content_type="application/octet-stream",
        headers={
            "Content-Disposition": f'attachment; filename="{pk}.bin"',
            "X-Content-Type-Options": "nosniff",
            "Content-Security-Policy": "sandbox",
            "Cache-Control": "no-store",
        },
    )


def _letter(pk: uuid.UUID) -> DeadLetter:
    letter = (
        DeadLetter.objects.select_related("consumer__broker", "held_on")
        .defer(*(f"consumer__{name}" for name in SECRETS), *(f"held_on__{name}" for name in BROKER_SECRETS))
        .filter(pk=pk)
        .first()
    )
    if letter is None:
        raise Http404("There is no such dead letter. It may have been deleted after it was discarded.")
    return letter

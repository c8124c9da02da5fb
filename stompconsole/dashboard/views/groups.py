"""Failure groups: what died of the same, who looks after it, and what to do about it."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from django.contrib import messages
from django.contrib.auth import get_user_model
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from stompconsole.dashboard import causes, groups_page, shell, trials_page
from stompconsole.dashboard.access import TEND, console_view, operator
from stompconsole.dashboard.formdata import moment_from, texts
from stompconsole.dashboard.paging import NOT_IN_LISTS, SECRETS
from stompconsole.dashboard.tabs import tabs
from stompconsole.deadletters import counting, tending
from stompconsole.deadletters.counting import By
from stompconsole.deadletters.selection import Filters
from stompconsole.deadletters.tending import Care
from stompconsole.models import Consumer, DeadLetterState, Expected, FailureGroup

PAGE_SIZE = 50
NEVER_READ = tuple(f"consumer__{field}" for field in SECRETS)
LETTERS_SHOWN = 20
SNOOZES = {"1h": timedelta(hours=1), "1d": timedelta(days=1), "7d": timedelta(days=7)}


@require_safe
@console_view()
def groups(request: HttpRequest) -> HttpResponse:
    """What is dead in heaps, the largest first: by failure group unless the URL says otherwise."""
    query = texts(request.GET)
    filters = replace(Filters.from_query(query), text="", state="", failed_after="", failed_before="")
    by = _by(query.get("by", ""))
    number = int(query.get("page", "")) if query.get("page", "").isdecimal() and len(query["page"]) < 6 else 0
    now = timezone.now()
    found = counting.heaps(filters, by, page=number, size=PAGE_SIZE, now=now)
    context = {
        "tabs": tabs(None, counting.by_state(Filters())),
        "choices": groups_page.choices(filters, by),
        "by": by,
        "filters": filters,
        "lines": groups_page.lines(found.rows, now),
        "pages": groups_page.pages(filters, by, number, found),
        "consumers": list(Consumer.objects.order_by("name").values_list("name", flat=True)),
        "now": now,
    }
    return shell.page(request, "groups.html", context, section="dead-letters")


def _by(word: str) -> By:
    return By(word) if word in set(By) else By.ERROR


@require_safe
@console_view()
def group(request: HttpRequest, pk: int) -> HttpResponse:
    """One group: how many and since when, what people say of it, its newest dead letters."""
    return _group_page(request, _group(pk), {})


def _group_page(request: HttpRequest, row: FailureGroup, problems: dict[str, str]) -> HttpResponse:
    now = timezone.now()
    filters = Filters(group=str(row.pk), state=DeadLetterState.DEAD)
    counts = counting.of_group(row)
    context = {
        "group": row,
        "counts": counts,
        "apart": causes.comparison(row, counts),
        "before": causes.steps_before(row),
        "hours": groups_page.hours_html(row, now),
        "last_replay": groups_page.last_replay(row),
        "last_trial": trials_page.last_trial(row),
        "try_lock": trials_page.lock(request),
        "letters": filters.queryset().defer(*NOT_IN_LISTS)[:LETTERS_SHOWN],
        "filters": filters,
        "expected": Expected,
        "owners": _owners(row),
        "typed": request.POST if problems else None,
        "problems": problems,
        "now": now,
    }
    return shell.page(request, "group.html", context, section="dead-letters", status=400 if problems else 200)


@require_POST
@console_view(TEND)
def tend(request: HttpRequest, pk: int) -> HttpResponse:
    """Say who looks after it, what is known, and how long nobody needs to hear of it."""
    row = _group(pk)
    form = texts(request.POST)
    by = operator(request)
    expected = form.get("expected", "")
    care = Care(
        owner=get_user_model().objects.filter(pk=form["owner"], is_active=True).first() if _is_id(form) else None,
        note=form.get("note", ""),
        ticket=form.get("ticket", ""),
        snoozed_until=_until(form.get("snooze", ""), timezone.now()),
        expected=Expected(expected) if expected in set(Expected) else Expected.NO,
    )
    problems = tending.tend(row.pk, care, actor=by.user, remote_address=by.remote_address)
    if problems:
        return _group_page(request, row, dict(problems))
    messages.success(request, "Saved.")
    return redirect("stompconsole:group", pk)


def _is_id(form: dict[str, str]) -> bool:
    text = form.get("owner", "")
    return text.isascii() and text.isdigit() and len(text) < 19


def _until(word: str, now: datetime) -> datetime | None:
    """A span from now, or the time it was snoozed until already."""
    return now + SNOOZES[word] if word in SNOOZES else moment_from(word)


def _owners(row: FailureGroup) -> list[tuple[int, str]]:
    users = get_user_model().objects.filter(is_active=True, is_staff=True).order_by("username")
    found = dict(users.values_list("pk", "username")[:200])
    if row.owner is not None:
        found[row.owner.pk] = row.owner.get_username()
    return list(found.items())


def _group(pk: int) -> FailureGroup:
    row = (
        FailureGroup.objects.select_related("owner", "consumer__broker", "last_replay")
        .defer(*NEVER_READ)
        .filter(pk=pk)
        .first()
    )
    if row is None:
        raise Http404(f"There is no failure group {pk}. Its dead letters may have been deleted long ago.")
    return row

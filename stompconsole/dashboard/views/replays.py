"""Replays: planned, confirmed, watched, cancelled."""

from __future__ import annotations

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from stompconsole.dashboard import formats, progress, shell
from stompconsole.dashboard.access import REPLAY, Operator, console_view, operator
from stompconsole.dashboard.choice import Choice, Confirmed
from stompconsole.dashboard.formdata import reason_in, texts
from stompconsole.dashboard.links import back
from stompconsole.dashboard.paging import page_of
from stompconsole.dashboard.stream.topics import Page, Topic
from stompconsole.dashboard.tabs import list_query
from stompconsole.deadletters.controlling import cancel_replay
from stompconsole.deadletters.selection import Planned, replay_matching, replay_selected
from stompconsole.models import Replay

LIST = "stompconsole:dead-letters"
PAGE_SIZE = 20


@require_http_methods(["GET", "HEAD", "POST"])
@console_view(REPLAY)
def plan(request: HttpRequest) -> HttpResponse:
    """What a replay would send, to be confirmed. A POST with what was confirmed makes it so."""
    if request.method != "POST":
        return _plan_page(request, Choice.from_query(request.GET))
    choice = Choice.from_query(request.POST)
    if choice.empty:
        messages.warning(request, "Nothing was selected: tick what you want to replay, or all that match.")
        return redirect(back(request, reverse(LIST)))
    confirmed = Confirmed.from_query(request.POST)
    if confirmed is None:
        # A list's form: its choice goes into the URL, so that reloading the plan posts nothing.
        return redirect(f"{reverse('stompconsole:replay-plan')}?{choice.query_string()}")
    return _carry_out(request, choice, confirmed)


def _plan_page(request: HttpRequest, choice: Choice) -> HttpResponse:
    now = timezone.now()
    context = {"choice": choice, "preview": choice.preview(), "back": _list_of(choice), "now": now}
    return shell.page(request, "replay_plan.html", context, section="dead-letters")


def _carry_out(request: HttpRequest, choice: Choice, confirmed: Confirmed) -> HttpResponse:
    planned = _planned(choice, confirmed, operator(request), reason_in(request.POST))
    if planned.replay is None:
        messages.error(request, planned.refusal)
        return redirect(
            f"{reverse('stompconsole:replay-plan')}?{choice.query_string()}" if choice.matching else reverse(LIST)
        )
    if planned.skipped:
        messages.warning(request, f"{formats.plural(planned.skipped, 'message')} left out: not dead any more.")
    return redirect(planned.replay)


def _planned(choice: Choice, confirmed: Confirmed, by: Operator, reason: str) -> Planned:
    if not choice.matching:
        return replay_selected(choice.ids, actor=by.user, reason=reason, remote_address=by.remote_address)
    return replay_matching(
        choice.filters,
        as_of=confirmed.as_of,
        expected_count=confirmed.count,
        actor=by.user,
        reason=reason,
        remote_address=by.remote_address,
    )


def _list_of(choice: Choice) -> str:
    return f"{reverse(LIST)}?{list_query(choice.filters)}" if choice.matching else reverse(LIST)


@require_safe
@console_view()
def replays(request: HttpRequest) -> HttpResponse:
    """All replays, newest first."""
    found = page_of(Replay.objects.select_related("created_by"), texts(request.GET), "created_at", PAGE_SIZE)
    now = timezone.now()
    context = {"page": found, "progresses": progress.progress_of_all(found.rows, now), "now": now}
    return shell.page(request, "replays.html", context, section="replays", topic=Topic(page=Page.REPLAYS))


@require_safe
@console_view()
def replay(request: HttpRequest, pk: int) -> HttpResponse:
    """One replay as it goes, and its result."""
    row = _replay(pk)
    now = timezone.now()
    going = progress.progress_of(row, now)
    context = {
        "replay": row,
        "progress": going,
        "summary": progress.summary_html(going, now),
        "troubles": progress.troubles_html(going),
        "items": progress.items_html(row),
        "now": now,
    }
    topic = Topic(page=Page.REPLAY, subject=str(pk)) if going.pending else None
    return shell.page(request, "replay.html", context, section="replays", topic=topic)


@require_POST
@console_view(REPLAY)
def cancel(request: HttpRequest, pk: int) -> HttpResponse:
    """Send no more of it."""
    row = _replay(pk)
    by = operator(request)
    if cancel_replay(row.pk, actor=by.user, remote_address=by.remote_address):
        messages.success(request, "The replay is cancelled. What was not sent yet is dead again.")
    else:
        messages.info(request, "The replay had ended before.")
    return redirect(row)


def _replay(pk: int) -> Replay:
    row = Replay.objects.select_related("created_by", "worker").filter(pk=pk).first()
    if row is None:
        raise Http404(f"There is no replay {pk}.")
    return row

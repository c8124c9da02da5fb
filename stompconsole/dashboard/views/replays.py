"""Replays: planned, confirmed, watched."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_safe

from stompconsole.dashboard import formats, progress, shell
from stompconsole.dashboard.access import EDIT, REPLAY, Operator, console_view, operator
from stompconsole.dashboard.choice import Choice, Confirmed
from stompconsole.dashboard.formdata import reason_in, texts
from stompconsole.dashboard.groups_page import LastReplay, last_replay
from stompconsole.dashboard.links import back
from stompconsole.dashboard.paging import page_of
from stompconsole.dashboard.stream.topics import Page, Topic
from stompconsole.dashboard.tabs import list_query
from stompconsole.deadletters import counting, operations, plans
from stompconsole.deadletters.plans import Plan
from stompconsole.deadletters.selection import Filters, Planned, replay_matching, replay_selected
from stompconsole.models import DeadLetterState, FailureGroup, Replay

LIST = "stompconsole:dead-letters"
PAGE_SIZE = 20
MANY = sum(plans.CANARY)
"""From more than this on a plan offers a canary."""


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
    edits = texts(request.POST).get("edits", "")
    if edits and not request.user.has_perm(EDIT):
        return shell.refused(request, EDIT)
    confirmed = Confirmed.from_query(request.POST)
    if confirmed is not None:
        return _confirmed(request, choice, confirmed)
    if edits:
        # What is put into messages stays out of URLs: servers log them.
        return _plan_page(request, choice, edits=edits)
    # A list's form: its choice goes into the URL, so that reloading the plan posts nothing.
    return redirect(f"{reverse('stompconsole:replay-plan')}?{choice.query_string()}")


def _confirmed(request: HttpRequest, choice: Choice, confirmed: Confirmed) -> HttpResponse:
    typed = texts(request.POST)
    read = plans.read(typed)
    if problems := read.problems or _nowhere_to_go(choice, read.plan):
        return _plan_page(request, choice, typed, problems, edits=typed.get("edits", ""))
    return _carry_out(request, choice, confirmed, read.plan)


def _nowhere_to_go(choice: Choice, plan: Plan) -> Mapping[str, str]:
    """The problem of a plan by which nothing at all could be sent."""
    if plan.destination or plan.unknown_to or choice.preview().has_origins:
        return {}
    return {"unknown_to": "Where they came from is not known: name where to send them."}


def _plan_page(
    request: HttpRequest,
    choice: Choice,
    typed: Mapping[str, str] | None = None,
    problems: Mapping[str, str] | None = None,
    edits: str = "",
) -> HttpResponse:
    seen = choice.preview()
    told = operations.read_json(edits)
    context = {
        "choice": choice,
        "preview": seen,
        "back": _list_of(choice),
        "fresh": _without_replayed(choice) if seen.replayed_before and not edits else "",
        "last_replay": _last_of_group(choice),
        "typed": _offered(seen.count) if typed is None else typed,
        "problems": problems or ({"edits": " ".join(told.problems)} if told.problems else {}),
        "edits": edits,
        "edits_told": [str(edit) for edit in told.operations],
        "now": timezone.now(),
    }
    return shell.page(request, "replay_plan.html", context, section="dead-letters", status=400 if problems else 200)


def _offered(count: int) -> Mapping[str, str]:
    """What stands in the fields of a plan before anybody types: caution where there is much to break."""
    if count <= MANY:
        return {}
    return {"canary": ", ".join(map(str, plans.CANARY)), "stop_above": "10"}


def _carry_out(request: HttpRequest, choice: Choice, confirmed: Confirmed, plan: Plan) -> HttpResponse:
    planned = _planned(choice, confirmed, operator(request), reason_in(request.POST), plan)
    if planned.replay is None:
        messages.error(request, planned.refusal)
        return redirect(
            f"{reverse('stompconsole:replay-plan')}?{choice.query_string()}" if choice.matching else reverse(LIST)
        )
    if planned.skipped:
        messages.warning(request, f"{formats.plural(planned.skipped, 'message')} left out: not dead any more.")
    return redirect(planned.replay)


def _planned(choice: Choice, confirmed: Confirmed, by: Operator, reason: str, plan: Plan) -> Planned:
    if not choice.matching:
        return replay_selected(choice.ids, actor=by.user, reason=reason, remote_address=by.remote_address, plan=plan)
    return replay_matching(
        choice.filters,
        as_of=confirmed.as_of,
        expected_count=confirmed.count,
        actor=by.user,
        reason=reason,
        remote_address=by.remote_address,
        plan=plan,
    )


def _without_replayed(choice: Choice) -> str:
    """The plan of the same less what was replayed before; "" where it can't be narrowed."""
    if not choice.matching or "replayed:" in choice.filters.text:
        return ""
    narrowed = replace(choice, filters=replace(choice.filters, text=f"{choice.filters.text} replayed:no".strip()))
    return f"{reverse('stompconsole:replay-plan')}?{narrowed.query_string()}"


def _last_of_group(choice: Choice) -> LastReplay | None:
    """How the last replay of the failure group went that is about to be replayed."""
    if not (choice.matching and choice.filters.group.isdecimal()):
        return None
    group = FailureGroup.objects.filter(pk=int(choice.filters.group)).first()
    return last_replay(group) if group is not None else None


def _list_of(choice: Choice) -> str:
    return f"{reverse(LIST)}?{list_query(choice.filters)}" if choice.matching else reverse(LIST)


@require_safe
@console_view()
def replays(request: HttpRequest) -> HttpResponse:
    """All replays, newest first."""
    asked_for = Replay.objects.filter(routine=False).select_related("created_by")
    found = page_of(asked_for, texts(request.GET), "created_at", PAGE_SIZE)
    now = timezone.now()
    context = {
        "page": found,
        "progresses": progress.progress_of_all(found.rows, now),
        "scheduled": counting.by_state(Filters()).of(DeadLetterState.SCHEDULED),
        "now": now,
    }
    return shell.page(request, "replays.html", context, section="replays", topic=Topic(page=Page.REPLAYS))


@require_safe
@console_view()
def replay(request: HttpRequest, pk: int) -> HttpResponse:
    """One replay as it goes, and its result."""
    row = replay_row(pk)
    now = timezone.now()
    going = progress.progress_of(row, now)
    context = {
        "replay": row,
        "progress": going,
        "summary": progress.summary_html(going, now),
        "troubles": progress.troubles_html(going),
        "items": progress.items_html(row),
        "doubtful": progress.doubtful_html(row),
        "plan": progress.plan_of(row),
        "edits": [str(edit) for edit in operations.kept(row.edits)],
        "state": progress.state_html(going),
        "now": now,
    }
    topic = Topic(page=Page.REPLAY, subject=str(pk)) if going.pending else None
    return shell.page(request, "replay.html", context, section="replays", topic=topic)


def replay_row(pk: int) -> Replay:
    """The row of a replay. Raises Http404."""
    row = Replay.objects.select_related("created_by", "worker").filter(pk=pk).first()
    if row is None:
        raise Http404(f"There is no replay {pk}.")
    return row

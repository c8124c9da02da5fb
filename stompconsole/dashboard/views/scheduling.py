"""Retries that are parked: sent now, cancelled, scheduled anew."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_POST

from stompconsole.dashboard import formats, shell
from stompconsole.dashboard.access import REPLAY, console_view, operator
from stompconsole.dashboard.choice import Choice, Confirmed
from stompconsole.dashboard.formdata import moment_from
from stompconsole.dashboard.links import back
from stompconsole.dashboard.tabs import list_query
from stompconsole.deadletters import scheduling
from stompconsole.deadletters.scheduling import Chosen, Rescheduled
from stompconsole.models import DeadLetterState

LIST = "stompconsole:dead-letters"


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """What can be done with retries, and its words on the page that asks whether it is meant."""

    do: Callable[..., Rescheduled]
    url: str
    verb: str
    done: str
    consequence: str


SEND = Act(
    do=scheduling.send_now,
    url="stompconsole:retries-send",
    verb="Send now",
    done="sent now",
    consequence="They go back to where they came from at once, however many they are. What fails again waits for its"
    " next step, or is dead when there is none left. This can't be undone.",
)
CANCEL = Act(
    do=scheduling.cancel,
    url="stompconsole:retries-cancel",
    verb="Cancel",
    done="cancelled",
    consequence="They are not tried again and stay as dead letters, to be replayed or discarded by somebody. It can be"
    " undone as long as nothing else was done with them.",
)


@require_POST
@console_view(REPLAY)
def send_now(request: HttpRequest) -> HttpResponse:
    """Send what was selected; all that match only after a page has said how many."""
    return _act(request, SEND)


@require_POST
@console_view(REPLAY)
def cancel(request: HttpRequest) -> HttpResponse:
    """Have what was selected stay dead, with an undo; all that match only after a page has said how many."""
    return _act(request, CANCEL)


@require_POST
@console_view(REPLAY)
def restore(request: HttpRequest) -> HttpResponse:
    """Schedule anew what one act cancelled (``at``)."""
    by = operator(request)
    at = moment_from(request.POST.get("at", ""))
    if at is None:
        messages.warning(request, "Nothing to undo: the form does not say which act is meant.")
        return redirect(back(request, _list()))
    done = scheduling.undo_cancel(at, actor=by.user, remote_address=by.remote_address)
    if done.refusal:
        messages.warning(request, done.refusal)
    else:
        messages.success(request, f"{_retries(done.count)} scheduled anew.")
    return redirect(back(request, _list()))


def _act(request: HttpRequest, act: Act) -> HttpResponse:
    choice = Choice.from_query(request.POST)
    if choice.empty:
        messages.warning(request, "Nothing was selected: tick the retries you mean, or all that match.")
        return redirect(back(request, _list()))
    confirmed = Confirmed.from_query(request.POST)
    if choice.matching and confirmed is None:
        return _ask(request, choice, act)
    by = operator(request)
    done = act.do(_chosen(choice, confirmed), actor=by.user, remote_address=by.remote_address)
    _tell(request, act, done)
    return redirect(back(request, _list()))


def _ask(request: HttpRequest, choice: Choice, act: Act) -> HttpResponse:
    context = {
        "act": act,
        "choice": choice,
        "narrowed": bool(replace(choice.filters, state="").query_string()),
        "preview": choice.preview(DeadLetterState.SCHEDULED),
        "back": f"{reverse(LIST)}?{list_query(choice.filters)}",
        "now": timezone.now(),
    }
    return shell.page(request, "retries_plan.html", context, section="dead-letters")


def _chosen(choice: Choice, confirmed: Confirmed | None) -> Chosen:
    if confirmed is None or not choice.matching:
        return Chosen(ids=choice.ids)
    return Chosen(filters=choice.filters, as_of=confirmed.as_of, count=confirmed.count)


def _tell(request: HttpRequest, act: Act, done: Rescheduled) -> None:
    if done.refusal:
        messages.error(request, done.refusal)
        return
    left_out = f" {_retries(done.skipped)} left out: not scheduled any more." if done.skipped else ""
    undo = f"{shell.RESTORE_TAG}{done.at.isoformat()}" if act is CANCEL else ""
    messages.success(request, f"{_retries(done.count)} {act.done}.{left_out}", extra_tags=undo)


def _retries(count: int) -> str:
    return formats.plural(count, "retry", "retries")


def _list() -> str:
    return f"{reverse(LIST)}?state={DeadLetterState.SCHEDULED.value}"

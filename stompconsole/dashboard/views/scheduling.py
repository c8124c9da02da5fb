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

from stompconsole.dashboard import formats, going_on, shell
from stompconsole.dashboard.access import REPLAY, console_view, operator
from stompconsole.dashboard.choice import Choice, Confirmed
from stompconsole.dashboard.formdata import moment_from
from stompconsole.dashboard.going_on import SoFar, Words
from stompconsole.dashboard.links import back
from stompconsole.dashboard.tabs import list_query
from stompconsole.deadletters import by_portions, scheduling
from stompconsole.deadletters.scheduling import Chosen, Rescheduled
from stompconsole.models import DeadLetterState

LIST = "stompconsole:dead-letters"
CANCELLING = Words(doing="Cancelling the retries of", done="cancelled")
RESTORING = Words(doing="Scheduling anew", done="scheduled anew")


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
    """Schedule anew what one act cancelled (``at``); very many slice by slice."""
    by, so_far, to = operator(request), SoFar.from_query(request.POST), back(request, _list())
    at = moment_from(request.POST.get("at", ""))
    if at is None:
        messages.warning(request, "Nothing to undo: the form does not say which act is meant.")
        return redirect(to)
    if so_far.stop:
        done = Rescheduled(at=at)
    else:
        done = scheduling.undo_cancel(
            at, actor=by.user, remote_address=by.remote_address, going_on=so_far.at, most=by_portions.SLICE
        )
        if (page := going_on.page(request, RESTORING, so_far, done)) is not None:
            return page
    whole = so_far.whole(done)
    if whole.refusal:
        messages.warning(request, whole.refusal)
    else:
        text = f"{_retries(whole.count)} scheduled anew"
        messages.success(request, f"Stopped: {text}, the others stay cancelled." if so_far.stop else f"{text}.")
    return going_on.leave(request, to)


def _act(request: HttpRequest, act: Act) -> HttpResponse:
    choice = Choice.from_query(request.POST)
    if choice.empty:
        messages.warning(request, "Nothing was selected: tick the retries you mean, or all that match.")
        return redirect(back(request, _list()))
    confirmed = Confirmed.from_query(request.POST)
    if choice.matching and confirmed is None:
        return _ask(request, choice, act)
    if act is CANCEL and choice.matching and confirmed is not None:
        return _cancel_some(request, choice, confirmed)
    by = operator(request)
    done = act.do(_chosen(choice, confirmed), actor=by.user, remote_address=by.remote_address)
    if done.replay is not None and choice.matching:
        # They may be many: where they are now is told by its page.
        if done.skipped:
            messages.warning(request, _left_out(done))
        return redirect(done.replay)
    _tell(request, act, done)
    return redirect(back(request, _list()))


def _cancel_some(request: HttpRequest, choice: Choice, confirmed: Confirmed) -> HttpResponse:
    """One slice of all that match."""
    so_far, by, to = SoFar.from_query(request.POST), operator(request), back(request, _list())
    if so_far.stop and so_far.at is not None:
        count = scheduling.stop_cancelling(
            so_far.at, of=confirmed.count, actor=by.user, remote_address=by.remote_address
        )
        stopped = f"Stopped: {_retries(count)} cancelled, the others left as they were."
        messages.success(request, stopped, extra_tags=f"{shell.RESTORE_TAG}{so_far.at.isoformat()}")
        return going_on.leave(request, to)
    done = scheduling.cancel(
        Chosen(filters=choice.filters, as_of=confirmed.as_of, count=max(0, confirmed.count - so_far.done)),
        actor=by.user,
        remote_address=by.remote_address,
        going_on=so_far.at,
        most=by_portions.SLICE,
    )
    if (page := going_on.page(request, CANCELLING, so_far, done)) is not None:
        return page
    _tell(request, CANCEL, so_far.whole(done))
    return going_on.leave(request, to)


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
    left_out = f" {_left_out(done)}" if done.skipped else ""
    undo = f"{shell.RESTORE_TAG}{done.at.isoformat()}" if act is CANCEL else ""
    messages.success(request, f"{_retries(done.count)} {act.done}.{left_out}", extra_tags=undo)


def _left_out(done: Rescheduled) -> str:
    return f"{_retries(done.skipped)} left out: not scheduled any more."


def _retries(count: int) -> str:
    return formats.plural(count, "retry", "retries")


def _list() -> str:
    return f"{reverse(LIST)}?state={DeadLetterState.SCHEDULED.value}"

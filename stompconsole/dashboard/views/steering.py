"""A replay in an operator's hand: pause, resume, change its rate, end its canary, cancel."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_POST

from stompconsole.dashboard.access import REPLAY, console_view, operator
from stompconsole.dashboard.formdata import texts
from stompconsole.dashboard.views.replays import replay_row
from stompconsole.deadletters import controlling, plans
from stompconsole.models import ReplayState

ENDED = "The replay had ended before."


@require_POST
@console_view(REPLAY)
def pause(request: HttpRequest, pk: int) -> HttpResponse:
    """Send no more of it for now."""
    by = operator(request)
    done = controlling.pause_replay(pk, actor=by.user, remote_address=by.remote_address)
    return _told(request, pk, "The replay is paused. What was sent already goes on being handled." if done else "")


@require_POST
@console_view(REPLAY)
def resume(request: HttpRequest, pk: int) -> HttpResponse:
    """Go on with it."""
    by = operator(request)
    done = controlling.resume_replay(pk, actor=by.user, remote_address=by.remote_address)
    return _told(request, pk, "The replay goes on. What failed before does not stop it again." if done else "")


@require_POST
@console_view(REPLAY)
def rate(request: HttpRequest, pk: int) -> HttpResponse:
    """Send so many a second from now on."""
    problems: dict[str, str] = {}
    wanted = plans.rate(texts(request.POST).get("rate", "").strip(), problems)
    if problems:
        messages.error(request, problems["rate"])
        return redirect(replay_row(pk))
    by = operator(request)
    done = controlling.change_rate(pk, wanted, actor=by.user, remote_address=by.remote_address)
    words = "without a limit" if wanted is None else f"at most {wanted:g} messages a second"
    return _told(request, pk, f"From now on {words}." if done else "")


@require_POST
@console_view(REPLAY)
def end_canary(request: HttpRequest, pk: int) -> HttpResponse:
    """Send the rest without waiting for the outcome of the first steps."""
    by = operator(request)
    done = controlling.end_canary(pk, actor=by.user, remote_address=by.remote_address)
    return _told(request, pk, "The rest is sent without waiting for more outcomes." if done else "")


@require_POST
@console_view(REPLAY)
def cancel(request: HttpRequest, pk: int) -> HttpResponse:
    """Send no more of it, ever."""
    by = operator(request)
    done = controlling.cancel_replay(pk, actor=by.user, remote_address=by.remote_address)
    return _told(request, pk, "The replay is cancelled. What was not sent yet is dead again." if done else "")


def _told(request: HttpRequest, pk: int, words: str) -> HttpResponse:
    row = replay_row(pk)
    if words:
        messages.success(request, words)
    else:
        over = row.state in {ReplayState.DONE, ReplayState.CANCELLED}
        messages.info(request, ENDED if over else f"Nothing to do: the replay is {row.state}.")
    return redirect(row)

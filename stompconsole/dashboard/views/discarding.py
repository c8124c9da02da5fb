"""Discarding dead letters, and taking it back."""

from __future__ import annotations

from datetime import datetime

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_POST

from stompconsole.conf import settings_now
from stompconsole.dashboard import formats, going_on, shell
from stompconsole.dashboard.access import DISCARD, console_view, operator
from stompconsole.dashboard.choice import Choice, Confirmed
from stompconsole.dashboard.formdata import moment_from, reason_in
from stompconsole.dashboard.going_on import SoFar, Words
from stompconsole.dashboard.links import back
from stompconsole.dashboard.tabs import list_query
from stompconsole.deadletters import by_portions
from stompconsole.deadletters.selection import (
    Discarded,
    discard_matching,
    discard_selected,
    stop_discarding,
    undo_discard,
    undo_discard_of,
)

LIST = "stompconsole:dead-letters"
DISCARDING = Words(doing="Discarding", done="discarded")
UNDOING = Words(doing="Bringing back", done="brought back")


@require_POST
@console_view(DISCARD)
def discard(request: HttpRequest) -> HttpResponse:
    """Discard what was selected, with an undo; all that match only after a page has said how many."""
    choice = Choice.from_query(request.POST)
    if choice.empty:
        messages.warning(request, "Nothing was selected: tick what you want to discard, or all that match.")
        return redirect(back(request, reverse(LIST)))
    confirmed = Confirmed.from_query(request.POST)
    if choice.matching and confirmed is None:
        context = {
            "choice": choice,
            "preview": choice.preview(),
            "back": f"{reverse(LIST)}?{list_query(choice.filters)}",
            "now": timezone.now(),
            "kept": formats.long_span(settings_now().discard_after_s),
        }
        return shell.page(request, "discard_plan.html", context, section="dead-letters")
    if confirmed is None or not choice.matching:
        by, reason = operator(request), reason_in(request.POST)
        _tell(request, discard_selected(choice.ids, actor=by.user, reason=reason, remote_address=by.remote_address))
        return redirect(back(request, reverse(LIST)))
    return _discard_some(request, choice, confirmed)


def _discard_some(request: HttpRequest, choice: Choice, confirmed: Confirmed) -> HttpResponse:
    """One slice of all that match."""
    so_far, by, to = SoFar.from_query(request.POST), operator(request), back(request, reverse(LIST))
    if so_far.stop and so_far.at is not None:
        count = stop_discarding(so_far.at, of=confirmed.count, actor=by.user, remote_address=by.remote_address)
        stopped = f"Stopped: {formats.plural(count, 'dead letter')} discarded, the others left as they were."
        _tell_with_undo(request, stopped, so_far.at)
        return going_on.leave(request, to)
    done = discard_matching(
        choice.filters,
        as_of=confirmed.as_of,
        expected_count=max(0, confirmed.count - so_far.done),
        actor=by.user,
        reason=reason_in(request.POST),
        remote_address=by.remote_address,
        going_on=so_far.at,
        most=by_portions.SLICE,
    )
    if (page := going_on.page(request, DISCARDING, so_far, done)) is not None:
        return page
    _tell(request, so_far.whole(done))
    return going_on.leave(request, to)


def _tell(request: HttpRequest, done: Discarded) -> None:
    if done.refusal:
        messages.error(request, done.refusal)
        return
    left_out = f" {formats.plural(done.skipped, 'message')} left out: not dead any more." if done.skipped else ""
    _tell_with_undo(request, f"{formats.plural(done.count, 'dead letter')} discarded.{left_out}", done.at)


def _tell_with_undo(request: HttpRequest, text: str, at: datetime) -> None:
    messages.success(request, text, extra_tags=f"{shell.UNDO_TAG}{at.isoformat()}")


@require_POST
@console_view(DISCARD)
def undo(request: HttpRequest) -> HttpResponse:
    """Bring back what one act discarded (``at``), or what was selected; very many slice by slice."""
    by, so_far, to = operator(request), SoFar.from_query(request.POST), back(request, reverse(LIST))
    at = moment_from(request.POST.get("at", ""))
    if at is None:
        done = undo_discard(Choice.from_query(request.POST).ids, actor=by.user, remote_address=by.remote_address)
    elif so_far.stop:
        done = Discarded(at=at)
    else:
        done = undo_discard_of(
            at, actor=by.user, remote_address=by.remote_address, going_on=so_far.at, most=by_portions.SLICE
        )
        if (page := going_on.page(request, UNDOING, so_far, done)) is not None:
            return page
    whole = so_far.whole(done)
    if whole.refusal:
        messages.warning(request, whole.refusal)
    else:
        text = f"{formats.plural(whole.count, 'dead letter')} brought back"
        messages.success(request, f"Stopped: {text}, the others stay discarded." if so_far.stop else f"{text}.")
    return going_on.leave(request, to)

"""Discarding dead letters, and taking it back."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_POST

from stompconsole.conf import settings_now
from stompconsole.dashboard import formats, shell
from stompconsole.dashboard.access import DISCARD, Operator, console_view, operator
from stompconsole.dashboard.choice import Choice, Confirmed
from stompconsole.dashboard.formdata import moment_from, reason_in
from stompconsole.dashboard.links import back
from stompconsole.dashboard.tabs import list_query
from stompconsole.deadletters.selection import (
    Discarded,
    discard_matching,
    discard_selected,
    undo_discard,
    undo_discard_of,
)

LIST = "stompconsole:dead-letters"


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
    _tell(request, _discarded(choice, confirmed, operator(request), reason_in(request.POST)))
    return redirect(back(request, reverse(LIST)))


def _discarded(choice: Choice, confirmed: Confirmed | None, by: Operator, reason: str) -> Discarded:
    if confirmed is None or not choice.matching:
        return discard_selected(choice.ids, actor=by.user, reason=reason, remote_address=by.remote_address)
    return discard_matching(
        choice.filters,
        as_of=confirmed.as_of,
        expected_count=confirmed.count,
        actor=by.user,
        reason=reason,
        remote_address=by.remote_address,
    )


def _tell(request: HttpRequest, done: Discarded) -> None:
    if done.refusal:
        messages.error(request, done.refusal)
        return
    left_out = f" {formats.plural(done.skipped, 'message')} left out: not dead any more." if done.skipped else ""
    text = f"{formats.plural(done.count, 'dead letter')} discarded.{left_out}"
    messages.success(request, text, extra_tags=f"{shell.UNDO_TAG}{done.at.isoformat()}")


@require_POST
@console_view(DISCARD)
def undo(request: HttpRequest) -> HttpResponse:
    """Bring back what one act discarded (``at``), or what was selected."""
    by = operator(request)
    at = moment_from(request.POST.get("at", ""))
    if at is not None:
        done = undo_discard_of(at, actor=by.user, remote_address=by.remote_address)
    else:
        done = undo_discard(Choice.from_query(request.POST).ids, actor=by.user, remote_address=by.remote_address)
    if done.refusal:
        messages.warning(request, done.refusal)
    else:
        messages.success(request, f"{formats.plural(done.count, 'dead letter')} brought back.")
    return redirect(back(request, reverse(LIST)))

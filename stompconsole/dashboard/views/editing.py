"""Edit and replay: change a dead letter, see the difference, send it."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from itertools import zip_longest

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect
from django.views.decorators.http import require_http_methods

from stompconsole.dashboard import shell
from stompconsole.dashboard.access import EDIT, REPLAY, console_view, operator
from stompconsole.dashboard.formdata import reason_in, texts
from stompconsole.dashboard.letter.difference import difference
from stompconsole.deadletters import editing, holding, plans, sendable
from stompconsole.deadletters.editing import Change
from stompconsole.deadletters.plans import Plan
from stompconsole.models import DeadLetter, DeadLetterState

BLANK_ROWS = 3
"""Rows for new headers."""


@require_http_methods(["GET", "HEAD", "POST"])
@console_view(REPLAY, EDIT)
def edit(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """The form; then what would be different; then, confirmed, a replay."""
    letter = _letter(pk)
    if refusal := _refusal(letter):
        messages.warning(request, refusal)
        return redirect(letter)
    if request.method != "POST":
        return _form(request, letter, Change(headers=editing.editable(letter), body=editing.text_of(letter)), {})
    change = _change(letter, request.POST)
    problems = editing.problems(letter, change)
    if problems or "back" in request.POST:
        return _form(request, letter, change, problems)
    plan, wrong = _plan(letter, request.POST)
    if "confirmed" not in request.POST or wrong:
        return _preview(request, letter, change, wrong if "confirmed" in request.POST else "")
    by = operator(request)
    planned = editing.edit_and_replay(
        pk, change, actor=by.user, reason=reason_in(request.POST), remote_address=by.remote_address, plan=plan
    )
    if planned.replay is None:
        messages.error(request, planned.refusal)
        return redirect(letter)
    return redirect(planned.replay)


def _refusal(letter: DeadLetter) -> str:
    if letter.state != DeadLetterState.DEAD:
        return f"Only what is dead can be edited: this one is {letter.state}."
    return f"It can't be edited. {holding.where(letter)}" if letter.held else ""


def _form(request: HttpRequest, letter: DeadLetter, change: Change, problems: Mapping[str, str]) -> HttpResponse:
    offered = [(name, value) for name, value in change.headers.items() if len(value) <= sendable.MAX_HEADER_BYTES]
    context = {
        "letter": letter,
        "rows": [*offered[: sendable.MAX_HEADERS], *[("", "")] * BLANK_ROWS],
        # More than a form can carry, and than brokers are sure to take.
        "left_out": change.headers.keys() - dict(offered[: sendable.MAX_HEADERS]).keys(),
        "locked": sorted((name, value) for name, value in letter.headers.items() if sendable.is_locked(name)),
        "body": change.body,
        "problems": problems,
        "reason": reason_in(request.POST),
    }
    return shell.page(request, "edit.html", context, section="dead-letters", status=400 if problems else 200)


def _plan(letter: DeadLetter, form: QueryDict) -> tuple[Plan, str]:
    """Where it goes if its origin is not known, and what is wrong with that; the other way round it is not asked."""
    if letter.origin:
        return plans.PLAIN, ""
    typed = texts(form).get("unknown_to", "")
    read = plans.read({"unknown_to": typed})
    wrong = read.problems.get("unknown_to", "")
    return read.plan, wrong or ("" if typed.strip() else "Where it came from is not known: name where to send it.")


def _preview(request: HttpRequest, letter: DeadLetter, change: Change, wrong: str = "") -> HttpResponse:
    context = {
        "wrong": wrong,
        "unknown_to": texts(request.POST).get("unknown_to", ""),
        "letter": letter,
        "rows": list(change.headers.items()),
        "body": change.body,
        "reason": reason_in(request.POST),
        "difference": difference(
            (editing.editable(letter), editing.text_of(letter) or ""),
            (change.headers, change.body if change.body is not None else editing.text_of(letter) or ""),
        ),
    }
    return shell.page(request, "edit_confirm.html", context, section="dead-letters", status=400 if wrong else 200)


def _change(letter: DeadLetter, form: QueryDict) -> Change:
    """What a form says. A row without a name, and without a value, is no header."""
    names, values = form.getlist("name")[: 2 * sendable.MAX_HEADERS], form.getlist("value")
    pairs = zip_longest(names, values[: len(names)], fillvalue="")
    headers = {name.strip(): value for name, value in pairs if name.strip() or value}
    if "body" not in form:
        return Change(headers=headers)
    # Browsers send line breaks as two characters; a body that had single ones gets them back.
    body, before = str(form["body"]), editing.text_of(letter) or ""
    return Change(headers=headers, body=body if "\r\n" in before else body.replace("\r\n", "\n"))


def _letter(pk: uuid.UUID) -> DeadLetter:
    letter = DeadLetter.objects.select_related("consumer").filter(pk=pk).first()
    if letter is None:
        raise Http404("There is no such dead letter. It may have been deleted after it was discarded.")
    return letter

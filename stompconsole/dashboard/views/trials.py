"""Trials: asked for, with what is not undone said before; watched; cancelled."""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from stompconsole.dashboard import shell, trials_page
from stompconsole.dashboard.access import TRY, console_view, operator
from stompconsole.dashboard.formdata import texts
from stompconsole.dashboard.stream.topics import Page, Topic
from stompconsole.deadletters.trying import choosing
from stompconsole.deadletters.trying.choosing import By, Chosen
from stompconsole.models import DeadLetter, DeadLetterState, FailureGroup, Trial, TrialState


@dataclass(frozen=True, slots=True, kw_only=True)
class _Subject:
    """What is to be tried: one dead letter, or a sample of a group."""

    letter: DeadLetter | None = None
    group: FailureGroup | None = None

    @property
    def href(self) -> str:
        if self.letter is not None:
            return self.letter.get_absolute_url()
        return reverse("stompconsole:group", args=[self.group.pk if self.group else 0])

    @property
    def fields(self) -> dict[str, object]:
        return {"id": self.letter.pk} if self.letter is not None else {"group": self.group.pk if self.group else ""}

    @property
    def handler(self) -> str:
        """The handler that would be called, as its consumer names it now; "" if the consumer is gone."""
        row = self.letter or self.group
        return row.consumer.handler if row is not None and row.consumer is not None else ""


@require_http_methods(["GET", "HEAD", "POST"])
@console_view(TRY)
def plan(request: HttpRequest) -> HttpResponse:
    """What a trial would do and what is not undone of it, to be confirmed. A POST makes it so."""
    subject = _subject(request.POST if request.method == "POST" else request.GET)
    if request.method != "POST":
        return _plan_page(request, subject, "" if choosing.is_on() else choosing.OFF)
    chosen = _begun(request, subject)
    if chosen.trial is None:
        return _plan_page(request, subject, chosen.refusal)
    return redirect(chosen.trial)


def _plan_page(request: HttpRequest, subject: _Subject, refusal: str) -> HttpResponse:
    context = {
        "subject": subject,
        "fields": subject.fields,
        "dead": _dead(subject.group),
        "sizes": choosing.SIZES,
        "refusal": refusal,
        "not_undone": trials_page.NOT_UNDONE,
        **trials_page.limits(),
    }
    status = 403 if refusal and not choosing.is_on() else 409 if refusal else 200
    return shell.page(request, "trial_plan.html", context, section="dead-letters", status=status)


def _dead(group: FailureGroup | None) -> int:
    return DeadLetter.objects.filter(group=group, state=DeadLetterState.DEAD).count() if group is not None else 1


def _begun(request: HttpRequest, subject: _Subject) -> Chosen:
    who = operator(request)
    by = By(user=who.user, remote_address=who.remote_address)
    if subject.letter is not None:
        return choosing.try_one(subject.letter.pk, by)
    assert subject.group is not None
    wanted = texts(request.POST).get("size", "")
    size = int(wanted) if wanted in map(str, choosing.SIZES) else choosing.SIZES[0]
    return choosing.try_group(subject.group, size, by)


def _subject(query: QueryDict) -> _Subject:
    """Raises Http404."""
    given = texts(query)
    try:
        pk = uuid.UUID(given.get("id", ""))
    except ValueError:
        pk = None
    if pk is not None:
        letters = DeadLetter.objects.select_related("consumer").defer("body", "search_text", "traceback", "document")
        letter = letters.filter(pk=pk).first()
        if letter is not None:
            return _Subject(letter=letter)
        raise Http404("There is no such dead letter. It may have been deleted after it was discarded.")
    number = given.get("group", "")
    groups = FailureGroup.objects.select_related("consumer")
    known = number.isascii() and number.isdigit() and len(number) < 19
    group = groups.filter(pk=int(number)).first() if known else None
    if group is None:
        raise Http404("There is nothing to try: no such dead letter or failure group.")
    return _Subject(group=group)


@require_safe
@console_view()
def trial(request: HttpRequest, pk: int) -> HttpResponse:
    """One trial as it goes, and its result; ``item`` in the URL is the one looked at beside its old failure."""
    row = _trial(pk)
    wanted = texts(request.GET).get("item", "")
    item_id = int(wanted) if wanted.isascii() and wanted.isdigit() and len(wanted) < 19 else None
    context = {
        "trial": row,
        "parts": {
            name.replace("-", "_"): html for name, html in trials_page.fragments(row, item_id, timezone.now()).items()
        },
        "not_undone": trials_page.NOT_UNDONE,
        "now": timezone.now(),
    }
    subject = f"{pk}:{item_id}" if item_id is not None else str(pk)
    going = row.state in {TrialState.WAITING, TrialState.RUNNING}
    topic = Topic(page=Page.TRIAL, subject=subject) if going else None
    return shell.page(request, "trial.html", context, section="dead-letters", topic=topic)


@require_POST
@console_view(TRY)
def cancel(request: HttpRequest, pk: int) -> HttpResponse:
    """Try no more of it."""
    row = _trial(pk)
    who = operator(request)
    if choosing.cancel(pk, By(user=who.user, remote_address=who.remote_address)):
        messages.success(request, "The trial is cancelled. What was tried already stays.")
    else:
        messages.info(request, "The trial had ended before.")
    return redirect(row)


def _trial(pk: int) -> Trial:
    row = Trial.objects.select_related("created_by", "group").filter(pk=pk).first()
    if row is None:
        raise Http404(f"There is no trial {pk}. Trials are deleted after a week.")
    return row

"""Edit and replay for many at once: choose edits, see what they make of some, go on to the plan; what was edited."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_safe

from stompconsole.dashboard import shell
from stompconsole.dashboard.access import EDIT, REPLAY, console_view
from stompconsole.dashboard.choice import Choice
from stompconsole.dashboard.formdata import texts
from stompconsole.dashboard.letter.difference import Line, difference
from stompconsole.dashboard.links import back
from stompconsole.dashboard.tabs import list_query
from stompconsole.deadletters import operations, outlooks, sendable, versions
from stompconsole.deadletters.operations import Act, Message, Operation, ReadOperations, Refusal, When
from stompconsole.deadletters.outlooks import Outlook
from stompconsole.models import ReplayItem

LIST = "stompconsole:dead-letters"
FIELDS = ("act", "target", "value", "when", "expected")
BLANK_ROWS = 2
WHENS = (
    (When.ALWAYS, "in every message"),
    (When.MISSING, "only where it is missing"),
    (When.EQUALS, "only where it equals"),
)
LARGEST_SHOWN = 64 * 1024
"""Bytes of a body up to which its difference is shown among others."""


@require_http_methods(["GET", "HEAD", "POST"])
@console_view(REPLAY, EDIT)
def edit_many(request: HttpRequest) -> HttpResponse:
    """The edits, and what they would make of what was chosen. Nothing is changed or sent from here."""
    if request.method != "POST":
        return _page(request, Choice.from_query(request.GET), ReadOperations())
    choice = Choice.from_query(request.POST)
    if choice.empty:
        messages.warning(request, "Nothing was selected: tick what you want to edit, or all that match.")
        return redirect(back(request, reverse(LIST)))
    if "edits" in request.POST:
        return _page(request, choice, operations.read_json(texts(request.POST)["edits"]))
    if "act" not in request.POST:
        # A list's form: its choice goes into the URL, so that reloading posts nothing.
        return redirect(f"{reverse('stompconsole:replay-edit')}?{choice.query_string()}")
    return _page(request, choice, operations.read(_rows(request.POST)))


def _rows(form: QueryDict) -> Iterable[dict[str, str]]:
    columns = [form.getlist(name)[: 2 * operations.MAX_OPERATIONS] for name in FIELDS]
    return [dict(zip(FIELDS, row, strict=True)) for row in zip(*columns, strict=False)]


def _page(request: HttpRequest, choice: Choice, read: ReadOperations) -> HttpResponse:
    seen = choice.preview()
    sound = read.operations if not read.problems else ()
    outlook = outlooks.outlook(choice.rows(seen.as_of), sound) if sound and seen.count else None
    typed = list(_rows(request.POST)) if read.problems else operations.written(read.operations)
    context = {
        "choice": choice,
        "count": seen.count,
        "back": f"{reverse(LIST)}?{list_query(choice.filters)}" if choice.matching else reverse(LIST),
        "rows": [*(row for row in typed if row["target"].strip()), *[{}] * BLANK_ROWS],
        "acts": list(Act),
        "whens": WHENS,
        "problems": read.problems,
        "outlook": outlook,
        "whole": outlook is not None and outlook.looked_at >= seen.count,
        "samples": _shown(outlook) if outlook else [],
        "edits": json.dumps(operations.written(sound)) if sound else "",
        "now": timezone.now(),
    }
    status = 400 if read.problems else 200
    return shell.page(request, "edit_many.html", context, section="dead-letters", status=status)


def _shown(outlook: Outlook) -> list[tuple[object, list[Line]]]:
    return [(sample.letter, lines(sample.before, sample.after)) for sample in outlook.samples]


def lines(before: Message, after: Message) -> list[Line]:
    """What differs, as on a page. Of bodies that are large, or no text, only that they do."""
    (one, other), told = (_text(before), _text(after)), []
    if one is None or other is None:
        same = before.body == after.body
        told = [] if same else [Line(kind="place", text=f"body: {len(before.body):,} → {len(after.body):,} bytes")]
        one = other = ""
    found = difference((sendable.editable(before.headers), one), (sendable.editable(after.headers), other))
    return [*found, *told]


def _text(message: Message) -> str | None:
    if len(message.body) > LARGEST_SHOWN or b"\0" in message.body:
        return None
    try:
        return message.body.decode()
    except UnicodeDecodeError:
        return None


@require_safe
@console_view()
def edited(request: HttpRequest, pk: uuid.UUID, item: int) -> HttpResponse:
    """What one replay changed in one dead letter: both versions, and how."""
    related = ("replay__created_by", "edit", "dead_letter")
    row = ReplayItem.objects.select_related(*related).filter(pk=item, dead_letter_id=pk).first()
    if row is None or not versions.is_edited(row):
        raise Http404("No replay has edited this dead letter so, or it was deleted.")
    both = versions.of_item(row)
    context = {
        "item": row,
        "letter": row.dead_letter,
        "edits": _told(operations.kept(row.replay.edits)),
        "refusal": both.after.reason if isinstance(both.after, Refusal) else "",
        "difference": lines(both.before, both.after) if isinstance(both.after, Message) else [],
        "now": timezone.now(),
    }
    return shell.page(request, "edited.html", context, section="dead-letters")


def _told(edits: Iterable[Operation]) -> list[str]:
    return [str(edit) for edit in edits]

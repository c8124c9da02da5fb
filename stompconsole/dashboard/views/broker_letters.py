"""Dead letters that stay in the broker: how many, a look at the first, and their way back."""

from __future__ import annotations

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_POST, require_safe

from stompconsole.dashboard import broker_letters_page as shown
from stompconsole.dashboard import shell
from stompconsole.dashboard.access import REPLAY, console_view, operator
from stompconsole.dashboard.broker_letters_page import Limit
from stompconsole.dashboard.formdata import reason_in, texts
from stompconsole.dashboard.paging import SECRETS
from stompconsole.dashboard.tabs import broker_tabs
from stompconsole.deadletters import broker_letters, counting
from stompconsole.deadletters.filters import Filters
from stompconsole.metrics.queries import live
from stompconsole.metrics.series import Window
from stompconsole.metrics.spans import Span
from stompconsole.models import BrokerReplay, Consumer
from stompconsole.models.names import validate_destination

PAGE = "stompconsole:broker-letters"


@require_safe
@console_view()
def all_of_them(request: HttpRequest) -> HttpResponse:
    """The consumers whose dead letters stay in the broker, and how many wait there."""
    now = live(Window(Span.MINUTE))
    off = set(Consumer.objects.filter(capture=False).values_list("pk", flat=True))
    context = {
        "tabs": broker_tabs(counting.by_state(Filters())),
        "queues": [shown.queue(line, now.now) for line in now.consumers if line.id in off],
        "now": now.now,
    }
    return shell.page(request, "broker_letters_all.html", context, section="dead-letters")


@require_safe
@console_view()
def broker_letters_of(request: HttpRequest, name: str) -> HttpResponse:
    """The page."""
    return _page(request, _consumer(name))


@require_POST
@console_view(REPLAY)
def look(request: HttpRequest, name: str) -> HttpResponse:
    """Have the first of them shown."""
    row, by = _consumer(name), operator(request)
    if row.capture:
        messages.error(request, broker_letters.CAPTURED)
    else:
        broker_letters.ask_browse(row, actor=by.user, remote_address=by.remote_address)
        messages.success(request, "A worker is asked to look: what it sees is shown here in a moment.")
    return redirect(PAGE, name)


@require_POST
@console_view(REPLAY)
def replay(request: HttpRequest, name: str) -> HttpResponse:
    """Have them sent back to where they came from."""
    row, by, typed = _consumer(name), operator(request), texts(request.POST)
    limit, unknown_to = Limit.from_text(typed.get("limit", "")), typed.get("unknown_to", "").strip()
    problems = {"limit": limit.problem, "unknown_to": _problem_of(unknown_to, row)}
    if any(problems.values()):
        return _page(request, row, typed, problems)
    asked = broker_letters.ask_replay(
        row,
        limit=limit.value,
        unknown_to=unknown_to,
        reason=reason_in(request.POST),
        actor=by.user,
        remote_address=by.remote_address,
    )
    if asked.refusal:
        messages.error(request, asked.refusal)
    else:
        messages.success(request, f"What is in {row.dead_letters_go_to} goes back as soon as a worker takes it up.")
    return redirect(PAGE, name)


@require_POST
@console_view(REPLAY)
def cancel(request: HttpRequest, name: str, pk: int) -> HttpResponse:
    """Move no more of them."""
    by = operator(request)
    if not BrokerReplay.objects.filter(pk=pk, consumer__name=name).exists():
        raise Http404(f"There is no such replay of {name}.")
    if broker_letters.cancel_replay(pk, actor=by.user, remote_address=by.remote_address):
        messages.success(request, "It is cancelled: what has not been moved stays in the dead-letter queue.")
    else:
        messages.info(request, "It had ended before.")
    return redirect(PAGE, name)


def _page(
    request: HttpRequest,
    row: Consumer,
    typed: dict[str, str] | None = None,
    problems: dict[str, str] | None = None,
) -> HttpResponse:
    now = live(Window(Span.MINUTE))
    line = now.consumer(row.name)
    if line is None:
        raise Http404(f"There is no consumer named {row.name}.")
    context = {**shown.context(row, line, now.now), "typed": typed or {}, "problems": problems or {}}
    status = 400 if problems else 200
    return shell.page(request, "broker_letters.html", context, section="dead-letters", status=status)


def _problem_of(destination: str, row: Consumer) -> str:
    if not destination:
        return ""
    try:
        validate_destination(destination)
    except ValidationError as error:
        return f"{destination!r}: {' '.join(error.messages)}"
    if destination == row.dead_letters_go_to:
        return f"{destination} is where they are: name another."
    return row.broker.dialect().refuses(destination)


def _consumer(name: str) -> Consumer:
    row = Consumer.objects.select_related("broker").defer(*SECRETS).filter(name=name).first()
    if row is None:
        raise Http404(f"There is no consumer named {name}. It may have been renamed or deleted.")
    return row

"""One consumer: what it does, what it is, what went wrong; pause and resume, and a try while its breaker is open."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_POST, require_safe

from stompconsole.dashboard import cells, consumer_page, pausing, shell
from stompconsole.dashboard.access import OPERATE, console_view, operator
from stompconsole.dashboard.formdata import reason_in
from stompconsole.dashboard.links import back, definitions_url
from stompconsole.dashboard.news import newest
from stompconsole.dashboard.paging import NOT_IN_LISTS, SECRETS
from stompconsole.dashboard.stream.topics import Page, Topic
from stompconsole.deadletters.selection import Filters
from stompconsole.metrics.lines import ConsumerLine, Live
from stompconsole.metrics.queries import live
from stompconsole.metrics.series import Window
from stompconsole.metrics.spans import Span
from stompconsole.models import Consumer, DeadLetter, DeadLetterState


@require_safe
@console_view()
def consumer(request: HttpRequest, name: str) -> HttpResponse:
    """The page of one consumer over the span ``range``."""
    row = _consumer(name)
    span = Span.from_text(request.GET.get("range", ""))
    now = live(Window(span))
    line = now.consumer(name)
    if line is None:
        raise Http404(_no_such(name))
    dead = DeadLetter.objects.filter(consumer=row, state=DeadLetterState.DEAD).defer(*NOT_IN_LISTS)
    context = _context(row, now, line, span) | {"dead_letters": list(dead[: consumer_page.LAST_DEAD_LETTERS])}
    topic = Topic(
        page=Page.CONSUMER,
        subject=row.name,
        span=span,
        filters=Filters(consumer=row.name, state=DeadLetterState.DEAD),
        since=newest(context["dead_letters"]),
    )
    return shell.page(request, "consumer.html", context, section="overview", topic=topic)


def _context(row: Consumer, now: Live, line: ConsumerLine, span: Span) -> dict[str, Any]:
    return {
        "row": row,
        "line": line,
        "cells": cells.consumer_cells(line, span, now.now),
        "chart": {
            name.replace("-", "_"): html for name, html in consumer_page.chart_parts(line, span, now.now).items()
        },
        "slots": consumer_page.slots_html(line, now.now),
        "depths": consumer_page.depths_html(line, now.now),
        "events": consumer_page.events(row.pk, now.now),
        "facts": consumer_page.definition(row, line),
        "span": span,
        "spans": list(Span),
        "now": now.now,
        "change_url": definitions_url("consumer", row.pk),
    }


@require_POST
@console_view(OPERATE)
def pause(request: HttpRequest, name: str) -> HttpResponse:
    """Pause it, with a reason if one is given."""
    row = _consumer(name)
    if pausing.pause(row, operator(request), reason_in(request.POST)):
        messages.success(request, f"{row.name} is paused. What is in hand is finished first.")
    else:
        messages.info(request, f"{row.name} was paused already.")
    return redirect(back(request, row.get_absolute_url()))


@require_POST
@console_view(OPERATE)
def resume(request: HttpRequest, name: str) -> HttpResponse:
    """Have it run again."""
    row = _consumer(name)
    if pausing.resume(row, operator(request)):
        messages.success(request, f"{row.name} is resumed.")
    else:
        messages.info(request, f"{row.name} was not paused.")
    return redirect(back(request, row.get_absolute_url()))


@require_POST
@console_view(OPERATE)
def try_now(request: HttpRequest, name: str) -> HttpResponse:
    """Have an open breaker try a message now."""
    row = _consumer(name)
    if pausing.try_now(row, operator(request)):
        messages.success(request, f"{row.name} tries one message now. If it is handled, all others follow.")
    else:
        messages.info(request, f"{row.name} has no open breaker: there is nothing to try.")
    return redirect(back(request, row.get_absolute_url()))


def _consumer(name: str) -> Consumer:
    row = Consumer.objects.select_related("broker").defer(*SECRETS).filter(name=name).first()
    if row is None:
        raise Http404(_no_such(name))
    return row


def _no_such(name: str) -> str:
    return f"There is no consumer named {name}. It may have been renamed or deleted."

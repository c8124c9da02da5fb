"""The first page: is everything running, how fast, what needs a person."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from stompconsole.dashboard import overview as shown
from stompconsole.dashboard import shell
from stompconsole.dashboard.access import console_view
from stompconsole.dashboard.events import last_events
from stompconsole.dashboard.links import add_url
from stompconsole.dashboard.notices import notices_html
from stompconsole.dashboard.overview import Show
from stompconsole.dashboard.stream.topics import Page, Topic
from stompconsole.dashboard.tiles import replays_now, tiles
from stompconsole.metrics.queries import live
from stompconsole.metrics.series import Window
from stompconsole.metrics.spans import Span


@require_safe
@console_view()
def overview(request: HttpRequest) -> HttpResponse:
    """All consumers, or those that ``show`` and ``q`` choose, over the span ``range``."""
    span = Span.from_text(request.GET.get("range", ""))
    show = Show.from_text(request.GET.get("show", ""))
    text = request.GET.get("q", "").strip()
    now = live(Window(span))
    context = {
        "now": now.now,
        "live": now,
        "notices": notices_html(now),
        "tiles": tiles(now, replays_now()),
        "rows": shown.rows(shown.chosen(now.consumers, show, text), span, now.now),
        "roster": shown.roster(now),
        "choices": [(choice, shown.counts(now)[choice]) for choice in Show],
        "show": show,
        "text": text,
        "span": span,
        "spans": list(Span),
        "events": last_events(),
        "add_broker": add_url("broker"),
        "add_consumer": add_url("consumer"),
    }
    topic = Topic(page=Page.OVERVIEW, span=span)
    return shell.page(request, "overview.html", context, section="overview", topic=topic)

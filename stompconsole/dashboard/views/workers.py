"""The processes that do the work."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from stompconsole.dashboard import shell
from stompconsole.dashboard.access import console_view
from stompconsole.dashboard.stream.topics import Page, Topic
from stompconsole.dashboard.workers_page import workers_fragments


@require_safe
@console_view()
def workers(request: HttpRequest) -> HttpResponse:
    """All workers that still have a row."""
    context = {"table": workers_fragments()["workers"]}
    return shell.page(request, "workers.html", context, section="workers", topic=Topic(page=Page.WORKERS))

"""Who did what, when; and what befell the consumers."""

from __future__ import annotations

from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.views.decorators.http import require_safe

from stompconsole.dashboard import shell
from stompconsole.dashboard.access import console_view
from stompconsole.dashboard.formdata import texts
from stompconsole.dashboard.paging import page_of
from stompconsole.models import AuditEntry, Consumer

MAX_TEXT = 200


@require_safe
@console_view()
def audit(request: HttpRequest) -> HttpResponse:
    """The entries that match, newest first."""
    query = texts(request.GET)
    consumer, text = query.get("consumer", ""), query.get("text", "").strip()[:MAX_TEXT]
    context = {
        "page": page_of(_entries(consumer, text), query, "at"),
        "consumers": list(Consumer.objects.order_by("name").values_list("name", flat=True)),
        "consumer": consumer,
        "text": text,
        "now": timezone.now(),
    }
    return shell.page(request, "audit.html", context, section="audit")


def _entries(consumer: str, text: str) -> QuerySet[AuditEntry]:
    rows = AuditEntry.objects.select_related("consumer")
    if consumer:
        rows = rows.filter(consumer__name=consumer)
    if text:
        fields = ("action", "actor_name", "target", "detail")
        found = Q()
        for field in fields:
            found |= Q(**{f"{field}__icontains": text})
        rows = rows.filter(found)
    return rows

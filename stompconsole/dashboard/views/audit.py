"""Who did what, when; and what befell the consumers."""

from __future__ import annotations

import json
from collections.abc import Iterator

from django.core.serializers.json import DjangoJSONEncoder
from django.db.models import Q, QuerySet
from django.http import HttpRequest, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.utils import timezone
from django.views.decorators.http import require_safe

from stompconsole.audit import Action
from stompconsole.dashboard import shell
from stompconsole.dashboard.access import console_view
from stompconsole.dashboard.audit_filters import AuditFilters
from stompconsole.dashboard.formdata import texts
from stompconsole.dashboard.paging import page_of
from stompconsole.models import AuditEntry, Consumer

EXPORTED_AT_ONCE = 500


@require_safe
@console_view()
def audit(request: HttpRequest) -> HttpResponseBase:
    """The entries that match, newest first; ``export=ndjson`` gives all of them, an object a line."""
    query = texts(request.GET)
    filters = AuditFilters.from_query(query)
    rows = _entries(filters)
    if query.get("export") == "ndjson":
        return _export(rows)
    context = {
        "page": page_of(rows, query, "at"),
        "consumers": list(Consumer.objects.order_by("name").values_list("name", flat=True)),
        "actions": sorted({*Action, filters.action} - {""}),
        "filters": filters,
        "query": filters.query_string(),
        "now": timezone.now(),
    }
    return shell.page(request, "audit.html", context, section="audit")


def _entries(filters: AuditFilters) -> QuerySet[AuditEntry]:
    rows = AuditEntry.objects.select_related("consumer")
    exact = {"consumer__name": filters.consumer, "action": filters.action, "actor_name": filters.who}
    rows = rows.filter(**{field: value for field, value in exact.items() if value})
    for lookup, at in (("at__gte", filters.after_at), ("at__lt", filters.before_at)):
        if at is not None:
            rows = rows.filter(**{lookup: at})
    if filters.problems:
        return rows.none()
    if filters.replay:
        rows = rows.filter(Q(target=f"replay {filters.replay}") | Q(data__replay=int(filters.replay)))
    found = Q()
    if filters.text:
        for field in ("action", "actor_name", "target", "detail"):
            found |= Q(**{f"{field}__icontains": filters.text})
    return rows.filter(found)


def _export(rows: QuerySet[AuditEntry]) -> StreamingHttpResponse:
    name = f"audit-{timezone.now():%Y%m%d-%H%M%S}.ndjson"
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"}
    return StreamingHttpResponse(_lines(rows), content_type="application/x-ndjson", headers=headers)


def _lines(rows: QuerySet[AuditEntry]) -> Iterator[str]:
    for entry in rows.iterator(chunk_size=EXPORTED_AT_ONCE):
        line = {
            "at": entry.at,
            "who": entry.actor_name,
            "from": entry.remote_address,
            "action": entry.action,
            "target": entry.target,
            "consumer": entry.consumer.name if entry.consumer else None,
            "detail": entry.detail,
            "data": entry.data,
        }
        yield json.dumps(line, cls=DjangoJSONEncoder, ensure_ascii=False) + "\n"

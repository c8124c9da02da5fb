"""For machines: is the process up, can it work, what are its figures. Says nothing that a stranger may not know."""

from __future__ import annotations

import logging

from django.db import DatabaseError, connection
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils.crypto import constant_time_compare
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from stompconsole.conf import settings_now
from stompconsole.dashboard.access import console_view
from stompconsole.metrics.exposition import exposition

logger = logging.getLogger(__name__)

TEXT = "text/plain; charset=utf-8"


@never_cache
@require_safe
def healthz(_request: HttpRequest) -> HttpResponse:
    """The process answers."""
    return HttpResponse("ok\n", content_type=TEXT)


@never_cache
@require_safe
def readyz(_request: HttpRequest) -> HttpResponse:
    """The database answers too; 503 when it does not."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError:
        logger.warning("not ready: the database does not answer", exc_info=True)
        return HttpResponse("the database does not answer\n", status=503, content_type=TEXT)
    return HttpResponse("ok\n", content_type=TEXT)


@never_cache
@require_safe
def metrics(request: HttpRequest) -> HttpResponseBase:
    """For Prometheus: with the bearer token when one is set, else for a user who may see the console."""
    token = settings_now().metrics_token
    if not token:
        return _metrics_for_user(request)
    if constant_time_compare(request.headers.get("Authorization", ""), f"Bearer {token}"):
        return _exposition(request)
    return HttpResponse(
        "a bearer token is needed\n", status=401, headers={"WWW-Authenticate": "Bearer"}, content_type=TEXT
    )


@console_view()
def _metrics_for_user(request: HttpRequest) -> HttpResponse:
    return _exposition(request)


def _exposition(request: HttpRequest) -> HttpResponse:
    body, content_type = exposition(request.headers.get("Accept", ""))
    return HttpResponse(body, content_type=content_type)

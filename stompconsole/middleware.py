"""The correlation id of an HTTP request: taken or made, in hand while it is answered, told in the response."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import cast

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from stompconsole import correlation

HEADERS = ("X-Correlation-ID", "X-Request-ID")
"""Where a request may bring its id, in this order. The response has the first."""

_Answer = HttpResponseBase | Awaitable[HttpResponseBase]


class CorrelationIdMiddleware:
    """Put it first in MIDDLEWARE; behind request-id-django-log's own where that is used, whose id it then shares.

    An id that a request brings is used if it is sane, see ``correlation.sane``; else one is made. What is published
    while the request is answered carries it, and so do log lines by ``correlation.CorrelationIdFilter``. Views have it
    as ``request.correlation_id``.
    """

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], _Answer]) -> None:
        self._get_response = get_response
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> _Answer:
        correlation_id = _given(request) or correlation.new()
        setattr(request, correlation.ON_REQUEST, correlation_id)
        if self._is_async:
            return self._answer_in_task(request, correlation_id)
        with correlation.InThread(correlation_id):
            return _told(cast("HttpResponseBase", self._get_response(request)), correlation_id)

    async def _answer_in_task(self, request: HttpRequest, correlation_id: str) -> HttpResponseBase:
        # The thread has other requests in hand as well.
        with correlation.InTask(correlation_id):
            return _told(await cast("Awaitable[HttpResponseBase]", self._get_response(request)), correlation_id)


def _given(request: HttpRequest) -> str:
    # request-id-django-log leaves its id in the thread for good: only one that this request has as well is its own.
    theirs = correlation.sane(correlation.theirs())
    if theirs and theirs == getattr(request, "id", None):
        return theirs
    return next(filter(None, (correlation.sane(request.headers.get(name)) for name in HEADERS)), "")


def _told(response: HttpResponseBase, correlation_id: str) -> HttpResponseBase:
    response.headers.setdefault(HEADERS[0], correlation_id)
    return response

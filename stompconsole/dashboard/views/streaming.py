"""The stream: one open response per browser, all fed by the one broadcaster of the process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from asgiref.sync import sync_to_async
from django.core.handlers.asgi import ASGIRequest
from django.db import connections
from django.http import HttpRequest, HttpResponse, HttpResponseBadRequest, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.views.decorators.http import require_GET

from stompconsole.conf import settings_now
from stompconsole.dashboard.access import SEE
from stompconsole.dashboard.formdata import texts
from stompconsole.dashboard.stream.broadcaster import Broadcaster
from stompconsole.dashboard.stream.fragments import as_html
from stompconsole.dashboard.stream.rendering import PageRenderer, render_once
from stompconsole.dashboard.stream.topics import Topic

MAX_STREAM_S = 300.0
"""A stream ends after so long; the browser opens the next one by itself, and is asked for its permission again."""

RETRY_MS = 1_000
EVENT_STREAM = "text/event-stream"

broadcaster: Broadcaster[Topic] = Broadcaster(PageRenderer, lambda: settings_now().stream_interval_s)


@require_GET
async def stream(request: HttpRequest) -> HttpResponseBase:
    """Fragments of one page: as a stream for an EventSource, once for a client that polls."""
    user = await request.auser()
    if not (user.is_authenticated and await user.ahas_perm(SEE)):
        return HttpResponse("log in to see this\n", status=403, content_type="text/plain")
    topic = Topic.from_query(texts(request.GET))
    if topic is None:
        return HttpResponseBadRequest("there is no such page\n", content_type="text/plain")
    if EVENT_STREAM not in request.headers.get("Accept", ""):
        fragments = await sync_to_async(render_once)(topic)
        return HttpResponse(as_html(fragments), headers={"Cache-Control": "no-store"})
    if not isinstance(request, ASGIRequest):
        # No way to stream from here; 204 tells an EventSource not to come back.
        return HttpResponse(status=204)
    return _streaming(topic)


def _streaming(topic: Topic) -> StreamingHttpResponse:
    # "identity" keeps compressing middleware away: it would hold ticks back to fill its window.
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no", "Content-Encoding": "identity"}
    return StreamingHttpResponse(_events(topic), content_type=EVENT_STREAM, headers=headers)


async def _events(topic: Topic) -> AsyncIterator[bytes]:
    loop = asyncio.get_running_loop()
    until = loop.time() + MAX_STREAM_S
    # Else each open page would keep the database connection that its user was looked up with. Here and not in the
    # view: middleware may ask the database once more after it.
    await sync_to_async(connections.close_all)()
    yield f"retry: {RETRY_MS}\n\n".encode()
    with broadcaster.client(topic) as client:
        async for event in client.events():
            yield event
            if loop.time() > until:
                return

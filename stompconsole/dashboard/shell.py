"""The frame around every page: navigation, permissions as templates ask for them, the live connection."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone

from stompconsole.conf import settings_now
from stompconsole.dashboard.links import definitions_url, logout_url
from stompconsole.dashboard.stream.topics import Topic

UNDO_TAG = "undo:"
"""Tag of a message that tells of an act which can be undone; what follows names the act."""


RESTORE_TAG = "restore:"
"""The same of retries that were cancelled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class May:
    """What this user may do. Templates show what is not allowed, disabled, with ``why``."""

    see: bool
    operate: bool
    replay: bool
    discard: bool
    tend: bool
    edit: bool
    try_handlers: bool

    @classmethod
    def of(cls, request: HttpRequest) -> May:
        """The permissions behind a request."""
        has = request.user.has_perm
        return cls(
            see=has("stompconsole.view_console"),
            operate=has("stompconsole.operate_consumer"),
            replay=has("stompconsole.replay_deadletter"),
            discard=has("stompconsole.discard_deadletter"),
            edit=has("stompconsole.edit_deadletter"),
            try_handlers=has("stompconsole.try_deadletter"),
            tend=has("stompconsole.edit_failuregroup"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """How a page stays current: a stream where there is an ASGI server, polling where there is not."""

    url: str
    streams: bool
    interval_s: float

    @property
    def poll_trigger(self) -> str:
        """The trigger of htmx: never more often than every two seconds."""
        return f"every {max(2.0, self.interval_s):g}s"


def page(
    request: HttpRequest,
    template: str,
    context: Mapping[str, Any],
    *,
    section: str,
    topic: Topic | None = None,
    status: int = 200,
) -> HttpResponse:
    """A page in the shell. ``section`` is the entry of the navigation it belongs to."""
    frame = {
        "section": section,
        "may": May.of(request),
        "definitions_url": definitions_url(),
        "logout_url": logout_url(),
        "connection": _connection(request, topic) if topic else None,
        "rendered_at": timezone.now(),
        "here": request.get_full_path(),
    }
    return render(request, f"stompconsole/{template}", frame | dict(context), status=status)


def refused(request: HttpRequest, permission: str) -> HttpResponse:
    """403: the user is known and lacks ``permission``."""
    return page(request, "refused.html", {"permission": permission}, section="", status=403)


def unknown(request: HttpRequest, what: str) -> HttpResponse:
    """404: ``what`` is not there, in words."""
    return page(request, "unknown.html", {"what": what}, section="", status=404)


def _connection(request: HttpRequest, topic: Topic) -> Connection:
    return Connection(
        url=f"{reverse('stompconsole:stream')}?{topic.query_string()}",
        streams=hasattr(request, "scope"),  # only requests of an ASGI server have one
        interval_s=settings_now().stream_interval_s,
    )

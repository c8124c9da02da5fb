"""An act on more dead letters than one request is to wait for: a page that goes on by itself, slice by slice.

What has been done travels in its form, beside what was asked for. Whoever leaves the page leaves the rest as it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect

from stompconsole.dashboard import drawing, shell
from stompconsole.dashboard.formdata import count_from, moment_from

_OWN = frozenset({"going_on", "done", "stop", "csrfmiddlewaretoken"})


@dataclass(frozen=True, slots=True, kw_only=True)
class SoFar:
    """What the slices before have done: when the act began, None for one that begins, and how many it was."""

    at: datetime | None = None
    done: int = 0
    stop: bool = False

    @classmethod
    def from_query(cls, form: QueryDict) -> SoFar:
        """From the form of the page; of one that begins from any other."""
        at, done = moment_from(form.get("going_on", "")), count_from(form.get("done", ""))
        return cls(at=at, done=done, stop="stop" in form) if at is not None and done is not None else cls()


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """What the page says: ``Discarding``, ``discarded``."""

    doing: str
    done: str


def page(request: HttpRequest, words: Words, *, at: datetime, done: int, left: int) -> HttpResponse:
    """How far it is; asks for the next slice by itself, or by a button where there is no script."""
    kept = [(name, value) for name, values in request.POST.lists() if name not in _OWN for value in values]
    context = {
        "words": words,
        "fields": [*kept, ("going_on", at.isoformat()), ("done", str(done))],
        "done": done,
        "total": done + left,
        "bar": drawing.split_bar([("sent", done)], done + left),
    }
    return shell.page(request, "going_on.html", context, section="dead-letters")


def leave(request: HttpRequest, to: str) -> HttpResponse:
    """On to another page, also from one that asks by script for a part of itself."""
    if "HX-Request" not in request.headers:
        return redirect(to)
    response = HttpResponse(status=204)
    response["HX-Redirect"] = to
    return response

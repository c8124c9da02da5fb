"""An act on more dead letters than one request is to wait for: a page that goes on by itself, slice by slice.

What has been done travels in its form, beside what was asked for. Whoever leaves the page leaves the rest as it is.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import TypeVar

from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect

from stompconsole.dashboard import drawing, shell
from stompconsole.dashboard.formdata import count_from, moment_from
from stompconsole.deadletters.scheduling import Rescheduled
from stompconsole.deadletters.selection import Discarded

Done = TypeVar("Done", Discarded, Rescheduled)

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

    def whole(self, done: Done) -> Done:
        """What all slices have done, this one included. What is refused in the end was done by others: those before
        stay."""
        return replace(done, count=self.done + done.count, refusal="" if self.done else done.refusal)


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """What the page says: ``Discarding``, ``discarded``."""

    doing: str
    done: str


def page(request: HttpRequest, words: Words, so_far: SoFar, slice_: Discarded | Rescheduled) -> HttpResponse | None:
    """How far it is after a slice; asks for the next one by itself, or by a button where there is no script. None where
    none is to follow."""
    if not slice_.left or slice_.refusal:
        return None
    done = so_far.done + slice_.count
    kept = [(name, value) for name, values in request.POST.lists() if name not in _OWN for value in values]
    context = {
        "words": words,
        "fields": [*kept, ("going_on", slice_.at.isoformat()), ("done", str(done))],
        "done": done,
        "total": done + slice_.left,
        "bar": drawing.split_bar([("sent", done)], done + slice_.left),
    }
    return shell.page(request, "going_on.html", context, section="dead-letters")


def leave(request: HttpRequest, to: str) -> HttpResponse:
    """On to another page, also from one that asks by script for a part of itself."""
    if "HX-Request" not in request.headers:
        return redirect(to)
    response = HttpResponse(status=204)
    response["HX-Redirect"] = to
    return response

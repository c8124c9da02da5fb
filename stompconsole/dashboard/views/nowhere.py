"""Addresses at which there is nothing: said in the console's own pages, with what such an address looks like."""

from __future__ import annotations

from django.http import Http404, HttpRequest, HttpResponse

from stompconsole.dashboard.access import console_view

MOST_CHARS = 100
"""Of what was asked for that are repeated."""

_NUMBER = "a number, such as 17"
_THINGS = {
    "dead-letters": ("dead letter", "a UUID, such as 1d362d47-de4e-49c7-a795-3614c62e31ef"),
    "groups": ("failure group", _NUMBER),
    "replays": ("replay", _NUMBER),
    "trials": ("trial", _NUMBER),
    "consumers": ("consumer", "its name, of letters, digits, hyphens and underscores"),
}

PATTERN = rf"^(?P<section>{'|'.join(_THINGS)})/(?P<rest>.+)/$"
"""Of no other address: where the console is mounted at the root, those are the project's. What ends without a slash is
left to Django, which tries it with one."""


@console_view()
def nowhere(_request: HttpRequest, section: str, rest: str) -> HttpResponse:
    """404, with what was asked for and what is allowed there."""
    thing, looks_like = _THINGS[section]
    if "/" in rest:
        raise Http404(f"There is no page {_short(f'{section}/{rest}/')} in the console.")
    raise Http404(f"{_short(rest)} is no id of a {thing}: that is {looks_like}.")


def _short(text: str) -> str:
    return f"“{text}”" if len(text) <= MOST_CHARS else f"“{text[:MOST_CHARS]}…”"

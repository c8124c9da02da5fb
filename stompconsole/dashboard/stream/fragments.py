"""Fragments: element ids and what goes inside them. The same for the page, the stream and polling."""

from __future__ import annotations

from collections.abc import Mapping

from django.utils.html import format_html_join
from django.utils.safestring import SafeString

Fragments = Mapping[str, str]
"""Element id -> its new content, escaped unless it is safe.

Elements themselves are never replaced: they keep place, focus and listeners."""

EVENT = "tick"


def changed(before: Fragments, now: Fragments) -> Fragments:
    """What of ``now`` is not as it was."""
    return {element: html for element, html in now.items() if before.get(element) != html}


def as_html(fragments: Fragments) -> SafeString:
    """For htmx to swap out of band, each into the element of its id."""
    return format_html_join("\n", '<div id="{}" hx-swap-oob="innerHTML">{}</div>', fragments.items())


def as_event(fragments: Fragments) -> bytes:
    """As one server-sent event (WHATWG HTML, 9.2.6). An empty one still says that the server is there."""
    lines = as_html(fragments).splitlines() or ["<i></i>"]
    return "".join([f"event: {EVENT}\n", *(f"data: {line}\n" for line in lines), "\n"]).encode()

"""Reading a page as a person would: text, links, buttons."""

from __future__ import annotations

import re
from html import unescape
from html.parser import HTMLParser

from django.http.response import HttpResponseBase


class _Elements(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, {name: value or "" for name, value in attrs}))


def html(response: HttpResponseBase) -> str:
    content: bytes = getattr(response, "content")  # noqa: B009 - the type checker knows a base class only
    return content.decode()


def text(response: HttpResponseBase) -> str:
    """The page's text with blanks made one."""
    return _words(html(response))


def _words(markup: str) -> str:
    apart = re.sub(
        r"</(td|th|li|p|div|dt|dd|h\d|time|option|a|button|summary)>|<(br|span class=\"why)[^>]*>", " ", markup
    )
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", "", apart))).strip()


def elements(response: HttpResponseBase, tag: str, **attributes: str) -> list[dict[str, str]]:
    """The attributes of every ``tag`` that has these ones."""
    parser = _Elements()
    parser.feed(html(response))
    return [
        found
        for name, found in parser.found
        if name == tag and all(found.get(key) == value for key, value in attributes.items())
    ]


def inside(response: HttpResponseBase, element: str) -> str:
    """What stands in the element of this id, up to its end tag; for elements without one of their kind inside."""
    match = re.search(rf'<(\w+)[^>]*\bid="{re.escape(element)}"[^>]*>(.*?)</\1>', html(response), re.DOTALL)
    assert match is not None, f"no element {element}"
    return _words(match[2])


def fields_of(page: HttpResponseBase) -> dict[str, str]:
    """The hidden fields of the form on a page."""
    # The first of a name: another form of every page follows.
    found = reversed(elements(page, "input", type="hidden"))
    return {field["name"]: field["value"] for field in found if field["name"] != "csrfmiddlewaretoken"}

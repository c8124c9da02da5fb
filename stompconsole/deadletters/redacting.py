"""Redaction: what rules name is taken out of a message, a marker in its place, before anything of it is stored.

Pure. Owns what is put where: ``hide`` gives the message as it may be shown and what was taken out, for the seal
(``deadletters.sealing``). Nothing else of a body changes, so that it can be put together again byte by byte. A body
whose parts can't be told apart is taken out whole.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from stompconsole.conf import redact, settings_now
from stompconsole.conf.redact import Rules
from stompconsole.deadletters import json_spans, quoting
from stompconsole.deadletters.quoting import MARKER, Quotes

LARGEST = 2**20
"""Bytes of a body that is walked; a larger one is taken out whole."""

NOT_JSON = "[redacted: not JSON, so its parts can't be told apart]"
TOO_LARGE = "[redacted: too large for its parts to be told apart]"
WHOLE = (NOT_JSON.encode(), TOO_LARGE.encode())
"""What stands in place of a whole body."""

NUMBERED = re.compile(r"\[redacted (\d{1,9})\]")
ENOUGH = 64 * 1024
"""Characters of a body taken out whole that errors are searched for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What was taken out, by marker: values of headers, stretches of the body's text, or the ``whole`` body.

    ``lost``: the message came with markers whose values are not known here.
    """

    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: Mapping[str, str] = field(default_factory=dict, repr=False)
    whole: bytes | None = field(default=None, repr=False)
    lost: bool = False

    def __bool__(self) -> bool:
        return bool(self.headers or self.body or self.whole is not None or self.lost)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hidden:
    """A message as it may be shown, what was taken out of it, and what errors must not quote."""

    headers: dict[str, str]
    body: bytes
    parts: Parts
    quotes: Quotes


class Redactor:
    """What some rules hide. Without rules it hides nothing, at no cost."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules

    def __bool__(self) -> bool:
        return bool(self._rules)

    def hide(self, headers: Mapping[str, str], body: bytes, *, kept: Collection[str] = ()) -> Hidden:
        """The message apart. ``kept`` are markers that stand for something already: they stay."""
        if not self._rules:
            return Hidden(headers=dict(headers), body=body, parts=Parts(), quotes=Quotes([]))
        markers = _Markers({*kept, *markers_in(headers, body)})
        quoted: list[str] = []
        shown, header_parts = dict(headers), dict[str, str]()
        for name, value in headers.items():
            if name.lower() in self._rules.headers and value and value not in kept:
                shown[name] = markers.new()
                header_parts[shown[name]] = value
                quoted += quoting.words_of(value)
        hidden = self._hide_body(body, kept, markers, quoted)
        parts = Parts(headers=header_parts, body=hidden.body, whole=hidden.whole)
        return Hidden(headers=shown, body=hidden.shown, parts=parts, quotes=Quotes(quoted))

    def headers(self, headers: Mapping[str, str]) -> dict[str, str]:
        """The headers with a marker for each that is named: to be shown, never to be put together again."""
        return {name: MARKER if name.lower() in self._rules.headers else value for name, value in headers.items()}

    def body(self, body: bytes) -> bytes:
        """The body as it may be shown, never to be put together again."""
        return NUMBERED.sub(MARKER, self.hide({}, body).body.decode(errors="replace")).encode() if self else body

    def document(self, document: Any) -> Any:
        """A body that is read already, with a marker for each part that is named: to be shown as well."""
        try:
            return _without(document, frozenset((path, 0) for path in self._rules.paths))
        except RecursionError:
            return MARKER

    def _hide_body(self, body: bytes, kept: Collection[str], markers: _Markers, quoted: list[str]) -> _HiddenBody:
        if not self._rules.paths or not body or body in WHOLE:
            return _HiddenBody(shown=body)
        if len(body) > LARGEST:
            return _whole(body, TOO_LARGE, quoted)
        try:
            text = body.decode()
            spans = json_spans.find(text, self._rules.paths)
        except (ValueError, RecursionError):
            return _whole(body, NOT_JSON, quoted)
        pieces, parts, at = list[str](), dict[str, str](), 0
        for span in spans:
            if span.value is None or (isinstance(span.value, str) and span.value in kept):
                continue
            marker = markers.new()
            parts[marker] = text[span.start : span.end]
            pieces += [text[at : span.start], f'"{marker}"']
            at = span.end
            quoted += json_spans.leaves(span.value)
        return _HiddenBody(shown="".join([*pieces, text[at:]]).encode() if parts else body, body=parts)


@dataclass(frozen=True, slots=True, kw_only=True)
class _HiddenBody:
    shown: bytes
    body: Mapping[str, str] = field(default_factory=dict)
    whole: bytes | None = None


def _whole(body: bytes, marker: str, quoted: list[str]) -> _HiddenBody:
    quoted += quoting.told_apart_roughly(body.decode(errors="replace")[:ENOUGH])
    return _HiddenBody(shown=marker.encode(), whole=body)


class _Markers:
    """Numbered markers that are not in the message already."""

    def __init__(self, taken: Collection[str]) -> None:
        self._taken = taken
        self._number = 0

    def new(self) -> str:
        while True:
            self._number += 1
            if (marker := f"[redacted {self._number}]") not in self._taken:
                return marker


def markers_in(headers: Mapping[str, str], body: bytes) -> frozenset[str]:
    """All that looks like a numbered marker in a message."""
    found = NUMBERED.finditer("\n".join([*headers.values(), body.decode(errors="replace")]))
    return frozenset(match[0] for match in found)


def redactor(*rules: Iterable[str]) -> Redactor:
    """What the settings and these rules hide. Raises WrongRuleError."""
    return Redactor(redact.rules_of([*settings_now().redact, *(rule for some in rules for rule in some)]))


def _without(value: Any, states: frozenset[tuple[redact.Path, int]]) -> Any:
    if json_spans.arrived(states) and value is not None:
        return MARKER
    if not states:
        return value
    match value:
        case dict():
            return {key: _without(member, json_spans.below(states, key)) for key, member in value.items()}
        case list():
            return [_without(member, json_spans.below(states, str(index))) for index, member in enumerate(value)]
        case _:
            return value

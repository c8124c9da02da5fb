"""Headers by whom they are from: ours, the broker's, the team's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from stompconsole.brokers import BrokerKind, Dialect, dialect_for

OURS = "stompconsole-"
MOST_CHARS = 5_000
"""Of a value."""

_DIALECTS: tuple[Dialect, ...] = tuple(dialect_for(kind, "") for kind in BrokerKind if kind is not BrokerKind.AUTO)


@dataclass(frozen=True, slots=True, kw_only=True)
class HeaderGroup:
    """Headers of one source, sorted by name."""

    title: str
    note: str
    headers: tuple[tuple[str, str], ...]


def grouped(headers: Mapping[str, object], kind: str) -> list[HeaderGroup]:
    """The team's first: they are what a person looks for. ``kind`` is the broker's; unknown tries all dialects."""
    dialects = _DIALECTS if kind in ("", BrokerKind.AUTO) else (dialect_for(kind, ""),)
    found: dict[str, list[tuple[str, str]]] = {"team": [], "ours": [], "broker": []}
    for name, value in sorted(headers.items()):
        found[_source(name, str(value), dialects)].append((name, _short(str(value))))
    groups = (
        HeaderGroup(title="Yours", note="sent again by a replay", headers=tuple(found["team"])),
        HeaderGroup(title="Ours", note="added when it failed", headers=tuple(found["ours"])),
        HeaderGroup(title="The broker's", note="not sent again", headers=tuple(found["broker"])),
    )
    return [group for group in groups if group.headers]


def _short(value: str) -> str:
    return value if len(value) <= MOST_CHARS else f"{value[:MOST_CHARS]}… ({len(value):,} characters)"


def _source(name: str, value: str, dialects: tuple[Dialect, ...]) -> str:
    if name.startswith(OURS):
        return "ours"
    # A header that no broker would be sent again is one that a broker made.
    made = any(not dialect.resend_headers({name: value}) for dialect in dialects)
    return "broker" if made else "team"

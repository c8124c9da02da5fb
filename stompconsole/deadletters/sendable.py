"""Headers of a dead letter that may be changed, and what no broker takes of them.

Headers of the protocol, of a broker and of ours are locked: a replay would leave them out, or depends on them.
"""

from __future__ import annotations

from collections.abc import Mapping

from stompconsole.brokers import BrokerKind, dialect_for
from stompconsole.delivery import envelope

MAX_HEADERS = 80
MAX_HEADER_BYTES = 8_000
"""What every broker takes."""

_DIALECTS = tuple(dialect_for(kind, "") for kind in BrokerKind if kind is not BrokerKind.AUTO)


def is_locked(name: str) -> bool:
    """Whether a header is the protocol's, a broker's or ours."""
    return name == "content-length" or name.startswith(envelope.PREFIX) or not _sent_by_all(name)


def _sent_by_all(name: str) -> bool:
    return all(dialect.resend_headers({name: "x"}) for dialect in _DIALECTS)


def editable(headers: Mapping[str, str]) -> dict[str, str]:
    """The team's headers: those that can be changed."""
    return {name: value for name, value in headers.items() if not is_locked(name)}


def problem(headers: Mapping[str, str]) -> str:
    """What is wrong with the team's headers as they are to be sent; empty when nothing is."""
    if len(headers) > MAX_HEADERS:
        return f"{len(headers)} headers are too many: brokers take about {MAX_HEADERS} beside their own."
    for name, value in headers.items():
        if not name or any(character in name for character in ":\0\r\n") or "\0" in value:
            return f"{name!r} can't be a header: a name has no colon and no line break, and neither holds a NUL."
        if is_locked(name):
            return f"{name} is locked: it belongs to the protocol, the broker or the console."
        if len(f"{name}:{value}".encode(errors="replace")) > MAX_HEADER_BYTES:
            return f"{name} is longer than {MAX_HEADER_BYTES:,} bytes: ActiveMQ ends the connection at 10 KB."
    return ""

"""What a database can hold of what a broker delivers: no NULs, no lone surrogates, nothing longer than its column.

PostgreSQL takes neither in text or JSON. Bodies are kept as they came, as bytes; this is for everything else.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
MAX_INTEGER = 2**31 - 1
MAX_DEPTH = 500
"""Levels of JSON that every database takes, with room for Python's own limit."""

SEPARATOR = "\x1f"
"""Between the body's part of the search text and the rest of it."""

_JSON_ESCAPE = re.compile(r"\\u([0-9a-fA-F]{4})")
_LONE_SURROGATE = re.compile(
    r"\\u[dD][89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F])|(?<!\\u[dD][89abAB][0-9a-fA-F]{2})\\u[dD][c-fC-F][0-9a-fA-F]{2}"
)


def text(value: str, limit: int | None = None) -> str:
    """The text as a column can hold it, its first ``limit`` characters."""
    if value.isascii() and "\0" not in value:
        # Nearly all there is, a dozen times for each message.
        return value[:limit]
    # Lone surrogates become question marks on the way through UTF-8.
    return value.replace("\0", REPLACEMENT).encode(errors="replace").decode()[:limit]


def headers(values: Mapping[str, str]) -> dict[str, str]:
    """Headers as JSON can hold them."""
    if (everything := "".join([*values.keys(), *values.values()])).isascii() and "\0" not in everything:
        return dict(values)
    return {text(name): text(value) for name, value in values.items()}


def search_text(body: bytes, limit: int, *others: str) -> str:
    """All that words are looked for in: the start of the body, its first ``limit`` bytes, and ``others``."""
    rest = "\n".join(filter(None, others)).replace(SEPARATOR, " ")
    return searchable(body, limit).replace(SEPARATOR, " ") + SEPARATOR + text(rest)


def searchable(body: bytes, limit: int) -> str:
    """The start of a body as text; characters that JSON has escaped are found as themselves."""
    start = body[:limit].decode("utf-8", "replace")
    if "\\u" not in start:
        return text(start)
    plain = _JSON_ESCAPE.sub(lambda match: chr(int(match[1], 16)), start)
    # Characters beyond the first plane are escaped as a pair of surrogates: UTF-16 joins them.
    return text(plain.encode("utf-16", "surrogatepass").decode("utf-16", "replace"))


def whole(number: int) -> int:
    """A count as a column can hold it."""
    return max(0, min(number, MAX_INTEGER))


def moment(at: datetime, now: datetime) -> datetime:
    """A time as another machine gave it, or ``now`` where that can't be: the year 1 or next week."""
    return at if at.year >= 1970 and at <= now + timedelta(days=1) else now


def document(body: bytes, limit: int) -> Any:
    """A body as JSON, as a column can hold it; None when it is none, is null, or has more than ``limit`` bytes."""
    if len(body) > limit or not body:
        return None
    try:
        if body.isascii() and b"\\u" not in body and b"\0" not in body:
            # Nearly all there is: its texts are such as any column holds. A NUL: it may be UTF-16.
            found = _JSON.decode(body.decode("ascii"))
        else:
            found = json.loads(body, cls=_Strict)
            if _is_odd(json.dumps(found)):
                return None
    except (ValueError, RecursionError):
        return None
    return None if _is_deep(found, body) else found


def _is_odd(written: str) -> bool:
    """Whether it has characters that PostgreSQL's JSON takes as little as its text: a row with them is none."""
    return "\\u0000" in written or _LONE_SURROGATE.search(written) is not None


def _is_deep(found: Any, body: bytes) -> bool:
    """Whether it is nested deeper than SQLite's JSON takes; newer Pythons read much more."""
    if body.count(b"[") + body.count(b"{") <= MAX_DEPTH:
        return False
    level, depth = [found], 0
    while level and depth <= MAX_DEPTH:
        level = [inner for value in level for inner in _inside(value)]
        depth += 1
    return depth > MAX_DEPTH


def _inside(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def _finite(number: str) -> float:
    if math.isinf(found := float(number)):
        # 1e999 is JSON, and would be written as Infinity, which is none.
        raise ValueError(number)
    return found


def _refuse(constant: str) -> None:
    raise ValueError(constant)


class _Strict(json.JSONDecoder):
    """Reads nothing that is no JSON, as Python's own does unless it is told not to."""

    def __init__(self) -> None:
        super().__init__(parse_constant=_refuse, parse_float=_finite)


_JSON = _Strict()

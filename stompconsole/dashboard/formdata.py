"""Values as URLs and forms carry them, read without trust: what makes no sense is None or empty."""

from __future__ import annotations

from datetime import datetime

from django.http import QueryDict
from django.utils.dateparse import parse_datetime
from django.utils.timezone import is_aware

MAX_REASON = 200
MAX_DIGITS = 12
"""Of a count."""


def texts(query: QueryDict) -> dict[str, str]:
    """The last value of each name. NULs are taken out: databases refuse them. Where there is nothing else something is
    left: a filter must not find everything."""
    return {name: _without_nuls(str(query[name])) for name in query}


def _without_nuls(text: str) -> str:
    return text.replace("\0", "") or ("\N{REPLACEMENT CHARACTER}" if text else "")


def moment_from(text: str) -> datetime | None:
    """An ISO 8601 time with a zone; None for anything else."""
    try:
        found = parse_datetime(text)
    except ValueError:
        return None
    return found if found is not None and is_aware(found) else None


def count_from(text: str) -> int | None:
    """A count in digits; None for anything else."""
    return int(text) if text.isdecimal() and len(text) <= MAX_DIGITS else None


def reason_in(form: QueryDict) -> str:
    """Why an operator does it, as typed into a form."""
    return texts(form).get("reason", "").strip()[:MAX_REASON]

"""What makes two failures the same: consumer, error type, place in the team's code, message less its numbers and ids.

Pure. No line numbers: a deploy moves them, and the failure stays the same.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from functools import lru_cache

from stompconsole.deadletters.frames import deepest_own

MAX_TEMPLATE = 300
MAX_PLACE = 300

_READ = 2_000
"""Characters of a message that are looked at."""

_WITH_DIGIT = re.compile(r"[\w-]*\d[\w-]*")
_LONG_HEX = re.compile(r"\b[0-9a-fA-F]{12,}\b")
_RUNS = re.compile(r"…(?:[\s,.:/+-]*…)+")
_BLANKS = re.compile(r"\s+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fingerprint:
    """``key`` is 40 hex digits; ``message`` and ``place`` are what a person reads."""

    key: str
    error_type: str
    message: str
    place: str


def fingerprint(consumer: str, error_type: str, message: str, traceback: str) -> Fingerprint:
    """The fingerprint of one failure."""
    template, place = without_numbers(message), _place(traceback)
    parts = "\0".join((consumer, error_type, place, template))
    # Not for security: short, and the same on every machine.
    key = hashlib.sha1(parts.encode(errors="replace"), usedforsecurity=False).hexdigest()
    return Fingerprint(key=key, error_type=error_type, message=template, place=place)


def without_numbers(message: str) -> str:
    """``order 4711 of user 0f3a-99`` -> ``order … of user …``: words that hold a digit are taken for numbers or ids."""
    text = _LONG_HEX.sub("…", message[:_READ])
    text = _RUNS.sub("…", _WITH_DIGIT.sub("…", text))
    return _BLANKS.sub(" ", text).strip()[:MAX_TEMPLATE]


# A thousand messages that die of the same have the same traceback.
@lru_cache(maxsize=256)
def _place(traceback: str) -> str:
    frame = deepest_own(traceback)
    if frame is None:
        return ""
    return (f"{frame.path} in {frame.function}" if frame.function else frame.path)[:MAX_PLACE]

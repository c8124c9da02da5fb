"""Names of consumers, made from the destinations they take messages from."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Container

LONGEST = 50
"""What a row's name may have, in characters."""

PREFIX = re.compile(r"^/?(amq/queue|queue|topic|exchange)/")
NAMELESS = "consumer"


def name_for(destination: str, handler: str, taken: Container[str]) -> str:
    """A name not taken yet: of the destination, then with the handler's own name, then with a number."""
    base = _slug(PREFIX.sub("", destination)) or NAMELESS
    candidates = [base, f"{base[: LONGEST // 2]}-{_slug(handler.rpartition('.')[2])}"[:LONGEST]]
    number = 2
    while candidates[0] in taken:
        candidates.pop(0)
        if not candidates:
            candidates.append(f"{base[: LONGEST - len(str(number)) - 1]}-{number}")
            number += 1
    return candidates[0]


def _slug(text: str) -> str:
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    return re.sub(r"[^A-Za-z0-9_]+", "-", plain).strip("-")[:LONGEST].strip("-")

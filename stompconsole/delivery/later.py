"""A consumer's long retry steps as an operator writes them: ``5m, 1h, 6h``. Pure."""

from __future__ import annotations

import re

from stompconsole.errors import ConfigurationError

MAX_STEPS = 20
LONGEST_STEP_S = 366 * 86_400.0

_STEP = re.compile(r"(?P<number>\d{1,9})(?P<unit>[smhd])", re.ASCII)
_SECONDS = {"s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0}


def steps_of(text: str) -> tuple[float, ...]:
    """The steps in seconds, none of an empty text. Raises ConfigurationError that says which one is wrong."""
    words = text.replace(",", " ").split()
    if len(words) > MAX_STEPS:
        raise ConfigurationError(f"{len(words)} steps are too many: give up to {MAX_STEPS}, such as 5m, 1h, 6h.")
    return tuple(map(_seconds, words))


def _seconds(word: str) -> float:
    found = _STEP.fullmatch(word)
    if found is None:
        raise ConfigurationError(
            f"{word!r} is no step: give a whole number and its unit, s, m, h or d, such as 30s, 5m, 6h or 1d."
        )
    seconds = int(found["number"]) * _SECONDS[found["unit"]]
    if not 0 < seconds <= LONGEST_STEP_S:
        raise ConfigurationError(f"{word!r} is no step: it has to be above 0 and up to 366d.")
    return seconds

"""One parser for each sort of setting: a value in, the typed value out, or what is allowed, in words."""

from __future__ import annotations

import base64
import binascii
import math
import os
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from stompconsole.conf.redact import WrongRuleError, rules_of

DAY_S = 86_400.0
TRUE_WORDS = ("true", "1", "t", "y", "yes", "on")
FALSE_WORDS = ("false", "0", "f", "n", "no", "off", "")


class WrongValueError(ValueError):
    """Says what is allowed; the reader adds the setting and, unless it is secret, the value."""


Parser = Callable[[Any], Any]


def text(value: Any) -> str:
    """One line of text; None is empty."""
    if value is None:
        return ""
    if not isinstance(value, str) or "\n" in value or "\r" in value or "\0" in value:
        raise WrongValueError("text on one line")
    return value


def host(value: Any) -> str:
    """A host name or an address by itself."""
    name = text(value)
    if "/" in name or any(character.isspace() or not character.isprintable() for character in name):
        raise WrongValueError("a bare host name or address: no scheme, no slash, no blanks")
    return name


def path(value: Any) -> str:
    """The path of a file."""
    return text(str(value) if isinstance(value, os.PathLike) else value)


def identifier(value: Any) -> str:
    """What names a subscription or a subscriber on every broker."""
    name = text(value)
    if len(name) > 200 or any(each.isspace() or not each.isprintable() or each in ":/" for each in name):
        raise WrongValueError("up to 200 characters without blanks, colons or slashes")
    return name


def label(value: Any) -> str:
    """A short text on one line, as people write a version."""
    word = text(str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value).strip()
    if len(word) > 100:
        raise WrongValueError("up to 100 characters on one line")
    return word


def boolean(value: Any) -> bool:
    """A word for yes or no, in any case."""
    word = "" if value is None else str(value).strip().lower()
    if word in TRUE_WORDS:
        return True
    if word in FALSE_WORDS:
        return False
    raise WrongValueError(f"{', '.join(TRUE_WORDS)} for yes, {', '.join(filter(None, FALSE_WORDS))} or empty for no")


def whole(low: int, high: int) -> Callable[[Any], int]:
    """A parser of whole numbers within both bounds."""

    def parse(value: Any) -> int:
        number = _number(value)
        if number is None or not number.is_integer() or not low <= number <= high:
            raise WrongValueError(f"a whole number from {low:,} to {high:,}")
        return int(number)

    return parse


def seconds(value: Any) -> float:
    """A span above 0, as a number of seconds or a timedelta."""
    number = _number(value)
    if number is None or not 0 < number <= 10 * 365 * DAY_S:
        raise WrongValueError("a number of seconds above 0, or a timedelta")
    return number


def pause(value: Any) -> float:
    """A pause between two attempts."""
    number = _number(value)
    if number is None or not 0.1 <= number <= DAY_S:
        raise WrongValueError("a number of seconds from 0.1 up to a day")
    return number


def limit(value: Any) -> float:
    """How long something may run."""
    number = _number(value)
    if number is None or not 0.1 <= number <= 3_600:
        raise WrongValueError("a number of seconds from 0.1 up to an hour")
    return number


def wait(value: Any) -> float:
    """A span that may be 0."""
    number = _number(value)
    if number is None or not 0 <= number <= DAY_S:
        raise WrongValueError("a number of seconds, 0 or more, up to a day")
    return number


def _number(value: Any) -> float | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, timedelta):
        return value.total_seconds()
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


def or_unset(parse: Parser) -> Parser:
    """The parser, with None or empty text for *unset*."""
    return lambda value: None if value is None or value == "" else parse(value)


def _texts(value: Any) -> tuple[str, ...]:
    if isinstance(value, str) or not isinstance(value, (list, tuple, set, frozenset)):
        raise WrongValueError("a list of texts")
    return tuple(text(item) for item in value)


def patterns(value: Any) -> tuple[str, ...]:
    """Patterns of dotted paths."""
    found = _texts(value)
    # "*" or "o*.system" would allow far more than it looks.
    if not all(pattern.partition(".")[0].isidentifier() and "." in pattern for pattern in found):
        raise WrongValueError('a list of dotted paths such as "orders.handlers.*", each naming its package in full')
    return found


def redaction(value: Any) -> tuple[str, ...]:
    """Rules of what is never stored in clear."""
    found = _texts(value)
    try:
        rules_of(found)
    except WrongRuleError as error:
        raise WrongValueError(f"a list of header names and JSON paths: {error}") from None
    return found


def fernet_keys(value: Any) -> tuple[str, ...]:
    """Keys for ``cryptography.fernet.Fernet``, the first one writes."""
    keys = _texts(value)
    if not all(_is_fernet_key(key) for key in keys):
        raise WrongValueError("a list of Fernet keys, as cryptography.fernet.Fernet.generate_key() makes them")
    return keys


def _is_fernet_key(key: str) -> bool:
    try:
        return len(base64.urlsafe_b64decode(key.encode())) == 32
    except (binascii.Error, ValueError):
        return False


def three_spans(value: Any) -> tuple[float, ...]:
    """Three spans in seconds."""
    if not isinstance(value, (list, tuple)) or len(value) != 3:
        raise WrongValueError("three spans in seconds: for buckets of 10 s, 1 min and 1 h")
    return tuple(seconds(item) for item in value)

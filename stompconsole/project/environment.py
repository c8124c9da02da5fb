"""What the project form reads from its environment, and the one file it makes for itself.

Owns the variables and their defaults. Besides them each STOMP_* setting is one, and each key of STOMPCONSOLE with
``STOMPCONSOLE_`` before it, lists separated by commas. Refuses words it does not know: a flag that is neither yes nor
no ends the start with a sentence.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.core.management.utils import get_random_secret_key

from stompconsole.conf import keys
from stompconsole.conf.parsing import FALSE_WORDS, TRUE_WORDS

VARIABLES: Mapping[str, str] = {
    "DATABASE_URL": "",
    "REDIS_URL": "",
    "SECRET_KEY": "",
    "DEBUG": "no",
    "ALLOWED_HOSTS": "localhost,127.0.0.1,[::1]",
    "CSRF_TRUSTED_ORIGINS": "",
    "HTTPS": "no",
    "LOG_LEVEL": "INFO",
    "STOMPCONSOLE_VAR": "",
    "PORT": "8000",
    "DEMO_PASSWORD": "",
}
"""The variables and what they are when they are not set; the last two are for ``make demo``."""

PREFIX = "STOMPCONSOLE_"
LISTS = frozenset({"HANDLERS", "REDACT", "SECRET_KEYS", "THROUGHPUT_KEEP"})


def text(name: str) -> str:
    """An environment variable, or its default when it is empty or not there."""
    return os.environ.get(name) or VARIABLES.get(name, "")


def flag(name: str) -> bool:
    """Whether an environment variable says yes. Raises ImproperlyConfigured."""
    word = text(name).strip().lower()
    if word in TRUE_WORDS:
        return True
    if word in FALSE_WORDS:
        return False
    raise ImproperlyConfigured(f"{name} is {word!r}; allowed are {', '.join((*TRUE_WORDS, *FALSE_WORDS[:-1]))}.")


def words(name: str) -> list[str]:
    """The comma-separated words of an environment variable."""
    return [word.strip() for word in text(name).split(",") if word.strip()]


def console_settings() -> dict[str, Any]:
    """``STOMPCONSOLE`` as the environment has it; whether the values can work is for its reader to say."""
    given = [key for key in keys.NAMES if os.environ.get(PREFIX + key)]
    return {key: words(PREFIX + key) if key in LISTS else text(PREFIX + key) for key in given}


def secret_key(path: Path) -> str:
    """SECRET_KEY of the environment, else one made once and kept in a file that its owner alone can read."""
    given = text("SECRET_KEY")
    if given:
        return given
    with suppress(FileExistsError):
        _write_once(path, get_random_secret_key())
    return path.read_text().strip()


def _write_once(path: Path, text: str) -> None:
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
        # A link appears whole or not at all: several processes start at the same time.
        os.link(draft, path)
    finally:
        draft.unlink()

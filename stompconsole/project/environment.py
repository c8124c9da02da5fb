"""What the project form reads from its environment, and the one file it makes for itself.

Refuses words it does not know: a flag that is neither yes nor no ends the start with a sentence.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured
from django.core.management.utils import get_random_secret_key

from stompconsole.conf.parsing import FALSE_WORDS, TRUE_WORDS


def flag(name: str) -> bool:
    """Whether an environment variable says yes; no when it is not there. Raises ImproperlyConfigured."""
    word = os.environ.get(name, "").strip().lower()
    if word in TRUE_WORDS:
        return True
    if word in FALSE_WORDS:
        return False
    raise ImproperlyConfigured(f"{name} is {word!r}; allowed are {', '.join((*TRUE_WORDS, *FALSE_WORDS[:-1]))}.")


def words(name: str, default: str = "") -> list[str]:
    """The comma-separated words of an environment variable."""
    return [word.strip() for word in os.environ.get(name, default).split(",") if word.strip()]


def secret_key(path: Path) -> str:
    """SECRET_KEY of the environment, else one made once and kept in a file that its owner alone can read."""
    given = os.environ.get("SECRET_KEY")
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

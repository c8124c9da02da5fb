"""Whether workers would find a handler that ``pubsub`` was given, and what to add where they would not.

``pubsub`` takes any dotted path, a consumer only what is registered or allowed. To tell what is missing the handler
is imported, as ``pubsub`` would: whoever runs the command is trusted as far as a shell is.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from fnmatch import fnmatchcase

from stompconsole import handlers
from stompconsole.conf import settings_now
from stompconsole.errors import HandlerNotFound


@dataclass(frozen=True, slots=True, kw_only=True)
class Lacking:
    """Why workers would not run a handler. ``allowable`` when a line in the settings is all it takes."""

    why: str
    allowable: bool = False


class Workers:
    """What workers know as the settings and the modules of handlers stand, before anything else is imported."""

    def __init__(self) -> None:
        self._registered: Collection[str] = frozenset(handlers.registered())
        self._patterns = settings_now().handlers

    def lack(self, path: str) -> Lacking | None:
        """What is in the way of a handler; None if nothing is."""
        if path in self._registered:
            return None
        if not any(fnmatchcase(path, pattern) for pattern in self._patterns):
            return _unknown(path)
        try:
            handlers.resolve(path, self._patterns)
        except HandlerNotFound as error:
            return Lacking(why=str(error))
        return None


def _unknown(path: str) -> Lacking:
    try:
        handlers.import_any(path)
    except HandlerNotFound as error:
        return Lacking(why=str(error))
    module, _, function = path.rpartition(".")
    if path in handlers.registered():
        return Lacking(
            why=f"{path} is marked as a handler, but no handlers.py of an installed app imports {module}:"
            f" add `from {module} import {function}` to one.",
        )
    return Lacking(
        why=f"{path} is not registered: put @stompconsole.handler above it, in the handlers.py of an installed app"
        ' or imported there, or allow it in STOMPCONSOLE["HANDLERS"].',
        allowable=True,
    )

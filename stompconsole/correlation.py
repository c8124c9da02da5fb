"""The correlation id in hand: of the message that a handler has, or of the HTTP request that is answered.

Owns the context variable, what carries it into plain threads, and the logging filter that shows it. Where
request-id-django-log is used the id is kept where that package looks for it, and its own is used when there is no
other. Refuses empty ids: one that is missing is made. No Django.
"""

from __future__ import annotations

import functools
import logging
import sys
import uuid
from collections.abc import Callable, Mapping
from contextvars import ContextVar, Token
from types import ModuleType
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

HEADER = "correlation-id"
"""The header of a message."""

NO_ID = "-"
"""What log lines show where there is no id in hand."""

ON_REQUEST = "correlation_id"
"""The attribute of an HTTP request."""

MAX_TAKEN = 128
"""Characters of an id that a stranger may give: it goes into every log line and message that follows."""

_THEIR_PACKAGE = "request_id_django_log"
_THEIR_NONE = {None, "", "none"}
"""What request-id-django-log, and django-stomp on top of it, mean by no id."""

_current: ContextVar[str] = ContextVar("stompconsole_correlation_id", default="")


def current() -> str:
    """The id in hand; empty if there is none."""
    return _current.get() or theirs()


def theirs() -> str:
    """The id that request-id-django-log has for this thread; empty if there is none, or no such package in use."""
    package = _their_package()
    given = getattr(package.local_threading, "request_id", None) if package else None
    return "" if given in _THEIR_NONE else str(given)


def current_or_new() -> str:
    """The id in hand, else a new one: never empty."""
    return current() or new()


def new() -> str:
    """An id that nobody else has."""
    return str(uuid.uuid4())


def shown(headers: Mapping[str, str]) -> str:
    """The id of a message as log lines have it."""
    return headers.get(HEADER) or NO_ID


def sane(text: str | None) -> str:
    """An id given by a stranger, if it can go into logs and headers as it is: one line, visible ASCII, not too long;
    else empty."""
    given = (text or "").strip()
    return given if given.isascii() and given.isprintable() and len(given) <= MAX_TAKEN else ""


class InTask:
    """``with InTask(id):`` the id is in hand for what runs inside, and in the tasks and ``asyncio.to_thread`` and
    ``sync_to_async`` calls that it begins. Enter it once."""

    __slots__ = ("_correlation_id", "_token")

    def __init__(self, correlation_id: str) -> None:
        self._correlation_id = correlation_id
        self._token: Token[str]

    def __enter__(self) -> None:
        self._token = _current.set(self._correlation_id)

    def __exit__(self, *exc_info: object) -> None:
        _current.reset(self._token)


class InThread(InTask):
    """``InTask`` for who has the thread to himself: then request-id-django-log's own filter sees the id as well."""

    __slots__ = ("_before", "_thread")

    def __enter__(self) -> None:
        super().__enter__()
        package = _their_package()
        self._thread: dict[str, Any] | None = vars(package.local_threading) if package else None
        if self._thread is not None:
            self._before = self._thread.pop("request_id", None)
            if self._correlation_id:
                self._thread["request_id"] = self._correlation_id

    def __exit__(self, *exc_info: object) -> None:
        super().__exit__()
        if self._thread is None:
            return
        if self._before is None:
            # Taken out and not set to None: None would be read as an id, and sent as one.
            self._thread.pop("request_id", None)
        else:
            self._thread["request_id"] = self._before


def carry(function: Callable[P, R]) -> Callable[P, R]:
    """``function`` with the id that is in hand now, wherever it is called: for ``threading.Thread`` and executors.

    ``executor.submit(carry(price), order)``. Tasks, ``asyncio.to_thread`` and ``sync_to_async`` need no help.
    """
    correlation_id = current()

    @functools.wraps(function)
    def carried(*args: P.args, **kwargs: P.kwargs) -> R:
        with InThread(correlation_id):
            return function(*args, **kwargs)

    return carried if correlation_id else function


class CorrelationIdFilter(logging.Filter):
    """Gives each record a ``correlation_id`` and, as request-id-django-log has it, a ``request_id``: the id in hand,
    or ``-``. Those that a record has already are left alone. Put it on handlers, and name it in their format."""

    def filter(self, record: logging.LogRecord) -> bool:
        shown = _in_one_line(current() or _of_its_request(record)) or NO_ID
        for name in ("correlation_id", "request_id"):
            if not hasattr(record, name):
                setattr(record, name, shown)
        return True


def _in_one_line(correlation_id: str) -> str:
    # A message's id is whatever its sender chose: a line break in it must not make a log line of its own.
    return correlation_id if correlation_id.isprintable() else ascii(correlation_id)


def _of_its_request(record: logging.LogRecord) -> str:
    # Django logs "Not Found" when all middleware is done, and gives the record the request.
    return str(getattr(getattr(record, "request", None), ON_REQUEST, ""))


def _their_package() -> ModuleType | None:
    # Not imported by us: whoever uses it has imported it, and nobody else is to have it.
    return sys.modules.get(_THEIR_PACKAGE)

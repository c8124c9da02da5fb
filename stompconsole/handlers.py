"""The register of handlers: who is known, and what a dotted path of a consumer may name.

A handler is the team's ``(payload) -> None``, sync or async, marked with ``@handler`` in the ``handlers.py`` of
an installed app. Refuses to import what is neither registered nor allowed by a pattern of
``STOMPCONSOLE["HANDLERS"]``: who may edit a consumer must not thereby be able to call ``os.system``.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from importlib import import_module
from types import MappingProxyType
from typing import Any, TypeVar, overload

from stompconsole.errors import ConfigurationError, HandlerNotFound

logger = logging.getLogger(__name__)

Handler = Callable[[Any], Any]
"""What is registered here; ``delivery.payload.Handler`` says what it is called with."""

F = TypeVar("F", bound=Handler)


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisteredHandler:
    """One handler of the register. ``summary`` is the first line of its docstring."""

    path: str
    function: Handler
    name: str
    summary: str


class _Register:
    """What ``@handler`` has collected in this process, and the modules that failed to import."""

    def __init__(self) -> None:
        self.handlers: dict[str, RegisteredHandler] = {}
        self.failures: dict[str, str] = {}


_register = _Register()


@overload
def handler(function: F) -> F: ...
@overload
def handler(*, name: str = "") -> Callable[[F], F]: ...


def handler(function: F | None = None, *, name: str = "") -> F | Callable[[F], F]:
    """Register a function under its dotted path and give it back unchanged; ``name`` is how people call it.

    Raises ConfigurationError for what has no dotted path that a worker could find again.
    """
    if function is None:
        return lambda given: _add(given, name)
    return _add(function, name)


def _add(function: F, name: str) -> F:
    path = _path_of(function)
    _register.handlers[path] = RegisteredHandler(
        path=path, function=function, name=name or path.rpartition(".")[2], summary=_first_line(function)
    )
    return function


def _path_of(function: Any) -> str:
    if not (inspect.isfunction(function) or inspect.isbuiltin(function)):
        raise ConfigurationError(f"{function!r} can't be a handler: a handler is a function of a module.")
    path = f"{function.__module__}.{function.__qualname__}"
    if function.__module__ in {"__main__", "builtins", None}:
        raise ConfigurationError(
            f"{path} can't be a handler: no worker can import it. Move it to an app's handlers.py."
        )
    if "." in function.__qualname__ or not function.__qualname__.isidentifier():
        raise ConfigurationError(f"{path} can't be a handler: it must be a named function at the top of its module.")
    return path


def _first_line(function: Any) -> str:
    return (inspect.getdoc(function) or "").partition("\n")[0]


def registered() -> Mapping[str, RegisteredHandler]:
    """The handlers of this process by dotted path, in the order of their paths."""
    return MappingProxyType(dict(sorted(_register.handlers.items())))


def failures() -> Mapping[str, str]:
    """Modules of handlers that did not import, and the error of each in words."""
    return MappingProxyType(dict(_register.failures))


def autodiscover() -> None:
    """Import ``handlers.py`` of each installed app. One that fails is logged and kept in ``failures()``."""
    from django.apps import apps
    from django.utils.module_loading import module_has_submodule

    for app in apps.get_app_configs():
        if app.module is not None and module_has_submodule(app.module, "handlers"):
            discover(f"{app.name}.handlers")


def discover(module: str) -> None:
    """Import one module of handlers; a failure is logged and kept, for the others have to run on."""
    try:
        import_module(module)
    except Exception as error:  # the team's code: anything may be raised while it is imported
        logger.exception("%s does not import: its handlers are missing", module)
        _register.failures[module] = _words(error)
    else:
        _register.failures.pop(module, None)


def resolve(path: str, allowed_patterns: Sequence[str] = ()) -> Handler:
    """The handler a consumer names: a registered one, or a dotted path that one of the patterns allows.

    Raises HandlerNotFound that says which of the many ways it is missing.
    """
    if path in _register.handlers:
        return _register.handlers[path].function
    failed = _register.failures.get(path.rpartition(".")[0])
    if failed:
        raise HandlerNotFound(f"{path.rpartition('.')[0]} does not import: {failed}")
    if not _allowed(path, allowed_patterns):
        raise HandlerNotFound(_not_allowed(path, allowed_patterns))
    function = import_any(path)
    real = f"{getattr(function, '__module__', '')}.{getattr(function, '__qualname__', type(function).__qualname__)}"
    # A module that imports os.system must not lend it its name.
    if not _allowed(real, allowed_patterns):
        raise HandlerNotFound(f"{path} is really {real}, which no pattern of STOMPCONSOLE['HANDLERS'] allows.")
    return function


def _allowed(path: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(path, pattern) for pattern in patterns)


def _not_allowed(path: str, patterns: Sequence[str]) -> str:
    known = ", ".join(sorted(_register.handlers)) or "none"
    also = f" Allowed patterns: {', '.join(patterns)}." if patterns else ""
    return f"{path!r} is not a registered handler. Mark it with @stompconsole.handler. Registered: {known}.{also}"


def import_any(path: str) -> Handler:
    """What any dotted path names, for ``pubsub`` alone: a shell is trusted. Raises HandlerNotFound."""
    module_path, _, attribute = path.rpartition(".")
    if not module_path or not all(part.isidentifier() for part in path.split(".")):
        raise HandlerNotFound(f"{path!r} is not a dotted path such as orders.handlers.price_of.")
    module = _module(module_path)
    if not hasattr(module, attribute):
        raise HandlerNotFound(f"module {module_path} has no {attribute!r}.")
    function = getattr(module, attribute)
    if not callable(function):
        raise HandlerNotFound(f"{path} can't be called: it is of type {type(function).__name__}.")
    return function  # type: ignore[no-any-return]


def _module(path: str) -> Any:
    try:
        return import_module(path)
    except ModuleNotFoundError as error:
        if error.name and (path == error.name or path.startswith(f"{error.name}.")):
            raise HandlerNotFound(f"there is no module {error.name!r}.") from error
        raise HandlerNotFound(f"{path} does not import: {_words(error)}") from error
    except Exception as error:  # the team's code: anything may be raised while it is imported
        raise HandlerNotFound(f"{path} does not import: {_words(error)}") from error


def _words(error: Exception) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__

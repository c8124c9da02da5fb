"""stompconsole: STOMP consumers for Django, defined in the admin, watched and replayed on a dashboard.

The public names below load on first use, so that importing the package needs no configured Django.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from stompconsole.delivery.payload import Payload
    from stompconsole.errors import Reject, Retry
    from stompconsole.handlers import handler
    from stompconsole.publishing import publish

__version__ = "0.1.0"
__all__ = ["Payload", "Reject", "Retry", "handler", "publish"]

_HOMES = {
    "Payload": "stompconsole.delivery.payload",
    "Reject": "stompconsole.errors",
    "Retry": "stompconsole.errors",
    "handler": "stompconsole.handlers",
    "publish": "stompconsole.publishing",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])

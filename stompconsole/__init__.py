"""stompconsole: STOMP consumers for Django, defined in the admin, watched and replayed on a dashboard.

The public names below load on first use, so that importing the package needs no configured Django.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from stompconsole.correlation import carry
    from stompconsole.delivery.payload import Payload
    from stompconsole.errors import Reject, Retry
    from stompconsole.handlers import handler
    from stompconsole.publishing import (
        Publisher,
        When,
        apublish,
        apublish_many,
        auto_open_close_connection,
        build_publisher,
        do_inside_transaction,
        publish,
        publish_many,
    )

__version__ = "0.1.0"
__all__ = [
    "Payload",
    "Publisher",
    "Reject",
    "Retry",
    "When",
    "apublish",
    "apublish_many",
    "auto_open_close_connection",
    "build_publisher",
    "carry",
    "do_inside_transaction",
    "handler",
    "publish",
    "publish_many",
]

_HOMES = {
    "Payload": "stompconsole.delivery.payload",
    "Publisher": "stompconsole.publishing",
    "Reject": "stompconsole.errors",
    "Retry": "stompconsole.errors",
    "When": "stompconsole.publishing",
    "apublish": "stompconsole.publishing",
    "apublish_many": "stompconsole.publishing",
    "auto_open_close_connection": "stompconsole.publishing",
    "build_publisher": "stompconsole.publishing",
    "carry": "stompconsole.correlation",
    "do_inside_transaction": "stompconsole.publishing",
    "handler": "stompconsole.handlers",
    "publish": "stompconsole.publishing",
    "publish_many": "stompconsole.publishing",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])

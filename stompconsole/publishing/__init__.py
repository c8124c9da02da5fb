"""Publishing: a message to a destination of a broker, confirmed by the broker's receipt before the call returns.

``publish`` and its kin send over the process's own sessions, after the commit of a database transaction;
``build_publisher`` gives a connection of its own, as django-stomp had it. Refuses to lose a message quietly: what is
not confirmed raises. Importable before apps are ready.
"""

from __future__ import annotations

from stompconsole.publishing.brokers import broker_spec
from stompconsole.publishing.calls import When, apublish, apublish_many, publish, publish_many
from stompconsole.publishing.pipelining import WINDOW
from stompconsole.publishing.process_senders import process_senders
from stompconsole.publishing.publisher import (
    Publisher,
    auto_open_close_connection,
    build_publisher,
    do_inside_transaction,
)

__all__ = [
    "WINDOW",
    "Publisher",
    "When",
    "apublish",
    "apublish_many",
    "auto_open_close_connection",
    "broker_spec",
    "build_publisher",
    "do_inside_transaction",
    "process_senders",
    "publish",
    "publish_many",
]

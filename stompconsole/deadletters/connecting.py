"""The database connection of what writes batch after batch: kept until there is nothing to do for a while.

CONN_MAX_AGE is about requests; its default has a connection opened for each batch, which takes PostgreSQL longer than
to store two hundred rows. Where a pool keeps connections nothing is kept here: others wait for them.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import ParamSpec, TypeVar

from django.db import DEFAULT_DB_ALIAS, Error, close_old_connections, connections

P = ParamSpec("P")
R = TypeVar("R")


def make_ready() -> None:
    """Before a batch: what was kept is usable, or gone, and then opened anew when it is needed."""
    database = connections[DEFAULT_DB_ALIAS]
    if database.connection is None or database.in_atomic_block:
        return
    if "pool" in database.settings_dict["OPTIONS"]:
        close_old_connections()
    # Asked, not tried: a server that was restarted meanwhile must not cost a batch.
    elif database.errors_occurred or not database.is_usable():
        database.close()


def on_kept(function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Call it with a connection that is ready."""
    make_ready()
    return function(*args, **kwargs)


def give_back() -> None:
    """Nothing more for a while."""
    close_old_connections()


def close() -> None:
    """Nothing more at all in this thread."""
    for connection in connections.all(initialized_only=True):
        with suppress(Error):
            connection.close()

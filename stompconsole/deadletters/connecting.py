"""The database connection of what writes batch after batch: kept until there is nothing to do for a while.

CONN_MAX_AGE is about requests; its default has a connection opened for each batch, which takes PostgreSQL longer than
to store two hundred rows. Where a pool keeps connections nothing is kept here: others wait for them.
"""

from __future__ import annotations

from contextlib import suppress

from django.db import DEFAULT_DB_ALIAS, Error, close_old_connections, connections


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


def give_back() -> None:
    """Nothing more for a while."""
    close_old_connections()


def close() -> None:
    """Nothing more at all."""
    with suppress(Error):
        connections[DEFAULT_DB_ALIAS].close()

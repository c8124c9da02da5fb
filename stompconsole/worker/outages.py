"""What a database that is away looks like, and saying so once."""

from __future__ import annotations

import logging

from django.db import InterfaceError, InternalError, OperationalError

logger = logging.getLogger(__name__)

DATABASE_AWAY = (OperationalError, InterfaceError, InternalError)
"""What a database that is down, restarting or locked for too long looks like; or has become a standby and read-only."""


class Outage:
    """Says once that the database is away, and once that it is back."""

    def __init__(self) -> None:
        self._away = False

    def noticed(self, error: BaseException) -> None:
        """The database could not be used."""
        if not self._away:
            logger.error("the database is away, the worker goes on trying: %s", " ".join(str(error).split()))
        self._away = True

    def over(self) -> None:
        """The database answered."""
        if self._away:
            logger.warning("the database is back")
        self._away = False

"""Everything that our tables hold, as text: to be searched for what must not be there."""

from __future__ import annotations

from django.apps import apps
from django.db import connection


def dumped() -> str:
    """Every column of every row of ours, bytes decoded where they are text."""
    return "\n".join(_table(model._meta.db_table) for model in apps.get_app_config("stompconsole").get_models())


def _table(name: str) -> str:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT * FROM {name}")
        return "\n".join(_shown(value) for row in cursor.fetchall() for value in row)


def _shown(value: object) -> str:
    return bytes(value).decode(errors="replace") if isinstance(value, bytes | memoryview) else str(value)

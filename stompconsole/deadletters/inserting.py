"""Many new rows at once: what ``bulk_create`` does, at a fraction of its cost for rows of many columns.

Owns how values get to the database: as they are where its driver takes them so, by the field otherwise. Refuses what
``bulk_create`` is there for beyond that: a conflict is an error, and primary keys are given.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

import orjson
from django.db import DEFAULT_DB_ALIAS, connections, models
from django.db.backends.base.base import BaseDatabaseWrapper

_AS_THEY_ARE = (models.CharField, models.TextField, models.IntegerField, models.AutoField)
"""Fields whose values every database takes as Python has them."""

_COPIED_AS_THEY_ARE = (models.UUIDField, models.DateField, models.BinaryField)
"""The same where PostgreSQL is given rows by COPY."""

_TIMES_KEPT = 1_024
"""Times that were converted last: most rows of a batch share some."""

Converter = Callable[[Any], Any]


def insert(model: type[models.Model], rows: Sequence[Mapping[str, Any]]) -> None:
    """Write rows, each a mapping of attributes to values; what is left out has its field's default.

    Runs inside the transaction of its caller; raises what the database raises.
    """
    if not rows:
        return
    # Not the proxy: what follows asks it a thousand times.
    database = connections[DEFAULT_DB_ALIAS]
    meta, quote = model._meta, database.ops.quote_name  # noqa: SLF001 - Django's documented model API
    fields = meta.concrete_fields
    table, columns = quote(meta.db_table), ", ".join(quote(str(field.column)) for field in fields)
    with database.cursor() as cursor:
        if database.vendor == "postgresql" and hasattr(cursor, "copy"):
            with database.wrap_database_errors, cursor.copy(f"COPY {table} ({columns}) FROM STDIN") as copy:
                for line in _lines(rows, fields, lambda field: _copied(field, database)):
                    copy.write_row(line)
            return
        places = ", ".join(["%s"] * len(fields))
        statement = f"INSERT INTO {table} ({columns}) VALUES ({places})"  # noqa: S608 - names of our own model
        cursor.executemany(statement, list(_lines(rows, fields, lambda field: _converter(field, database))))


def _lines(
    rows: Sequence[Mapping[str, Any]],
    fields: Sequence[models.Field[Any, Any]],
    converter: Callable[[models.Field[Any, Any]], Converter | None],
) -> Iterator[list[Any]]:
    given = rows[0].keys()
    names = [field.attname for field in fields]
    defaults = {field.attname: field.get_default() for field in fields if field.attname not in given}
    found = ((place, converter(field)) for place, field in enumerate(fields))
    changed = [(place, change) for place, change in found if change is not None]
    for row in rows:
        whole = {**defaults, **row}
        line = [whole[name] for name in names]
        for place, change in changed:
            line[place] = change(line[place])
        yield line


def _copied(field: models.Field[Any, Any], database: BaseDatabaseWrapper) -> Converter | None:
    kind = _kind(field)
    return None if isinstance(kind, _COPIED_AS_THEY_ARE) else _converter(field, database)


def _converter(field: models.Field[Any, Any], database: BaseDatabaseWrapper) -> Converter | None:
    """How values of a field are given to the database; None for as they are."""
    kind = _kind(field)
    if isinstance(kind, models.JSONField):
        return _json
    if isinstance(kind, models.CharField) and kind.choices:
        # A member of an enum is not what it stands for to every driver.
        return lambda value: None if value is None else str(value)
    if isinstance(kind, _AS_THEY_ARE):
        return None

    def prepared(value: Any) -> Any:
        return kind.get_db_prep_save(value, database)

    return lru_cache(_TIMES_KEPT)(prepared) if isinstance(kind, models.DateField) else prepared


def _json(value: Any) -> str | None:
    """As text: both databases read it themselves. None is NULL, as everywhere in rows."""
    if value is None:
        return None
    try:
        return orjson.dumps(value).decode()
    except TypeError:
        # It has a number of more than 64 bits, or more levels than orjson goes down.
        return json.dumps(value)


def _kind(field: models.Field[Any, Any]) -> models.Field[Any, Any]:
    return field.target_field if isinstance(field, models.ForeignKey) else field

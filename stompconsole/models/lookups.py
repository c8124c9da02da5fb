"""``among``: what ``in`` is, for ids by the hundred. Values are of the field's own type, as they come from rows."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.core.exceptions import EmptyResultSet
from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models.lookups import In


class Among(In):
    """On PostgreSQL one array: five hundred parameters take longer to be written and read than to be looked up."""

    lookup_name = "among"

    def get_prep_lookup(self) -> list[Any]:
        return list(self.rhs)

    def as_postgresql(self, compiler: Any, connection: BaseDatabaseWrapper) -> tuple[str, list[Any]]:
        """``id = ANY(array)``."""
        if not self.rhs:
            raise EmptyResultSet
        lhs, params = self.process_lhs(compiler, connection)
        id_type = self.lhs.output_field.rel_db_type(connection)
        return f"{lhs} = ANY(%s::{id_type}[])", [*params, array_of(self.rhs)]


def array_of(ids: Iterable[Any]) -> str:
    """Ids as PostgreSQL reads an array. Written here: the driver asks of each id anew how it is to be written."""
    return f"{{{','.join(map(str, ids))}}}"


for field in (models.UUIDField, models.IntegerField, models.ForeignKey):
    field.register_lookup(Among)

"""What PostgreSQL has beyond what models can say: indexes for searching, and an audit that can't be rewritten.

Safe to repeat; does nothing on other databases. The index for text needs the extension pg_trgm and costs whoever
captures: it is made where the extension is there, or on demand. Without it text is searched row by row, and
``scans_text`` says so.
"""

from __future__ import annotations

from typing import Any

from django.db import DatabaseError, models, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

TEXT_INDEX = "stompconsole_deadletter_text"
EXTENSION = "CREATE EXTENSION pg_trgm"

UNINDEXED_HEADERS = (
    *("ack", "subscription", "content-length"),
    *(
        f"stompconsole-{name}"
        for name in (
            *("attempts", "consumer", "dead-letter-id", "due-at", "error-message", "error-type", "failed-at"),
            *("failure-id", "first-failed-at", "handler", "held-at", "held-copy", "held-pass", "message-id", "origin"),
            *("replay-id", "retry-step", "sent-back", "traceback", "worker"),
        )
    ),
)
"""Headers that no index of PostgreSQL holds: of ours each says what a column says, and those of a delivery nobody looks
for. They are most of what a dead letter carries, and are written anew whenever it changes. Others need a migration."""

_SEARCHED_HEADERS = f"(headers - '{{{','.join(UNINDEXED_HEADERS)}}}'::text[])"
_WHOLE_HEADERS = "stompconsole_deadletter_headers"
"""The index that held them all."""

_JSON = {
    "stompconsole_deadletter_searched_headers": _SEARCHED_HEADERS,
    "stompconsole_deadletter_document": "document",
}
_CREATE = "CREATE INDEX {how} IF NOT EXISTS {name} ON stompconsole_deadletter USING gin ({what})"
# As Django asks for ``icontains``.
_TEXT = "UPPER(search_text) gin_trgm_ops"

_UNINDEXED = """
SELECT to_regclass('stompconsole_deadletter') IS NOT NULL
AND NOT EXISTS (SELECT FROM pg_index WHERE indexrelid = to_regclass(%s) AND indisvalid)
"""

_LARGE = (
    *(("stompconsole_deadletter", name) for name in ("body", "document", "headers", "sealed", "search_text")),
    *(
        (table, name)
        for table in ("stompconsole_deadletter", "stompconsole_failure")
        for name in ("error_message", "traceback")
    ),
)
_HAS_LZ4 = "SELECT EXISTS (SELECT FROM pg_settings WHERE name = 'default_toast_compression' AND 'lz4' = ANY(enumvals))"

_MERGE = """
SELECT gin_clean_pending_list(oid) FROM pg_class
WHERE oid IN (SELECT to_regclass(name) FROM unnest(%s::text[]) AS name) AND pg_has_role(relowner, 'USAGE')
"""

_GUARD = """
CREATE OR REPLACE FUNCTION stompconsole_audit_stays() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION 'stompconsole_auditentry is append-only: no entry is changed or deleted'; END $$;
DROP TRIGGER IF EXISTS stompconsole_audit_stays ON stompconsole_auditentry;
CREATE TRIGGER stompconsole_audit_stays
BEFORE DELETE OR UPDATE OF id, at, actor_name, action, target, detail, data, remote_address
ON stompconsole_auditentry FOR EACH STATEMENT EXECUTE FUNCTION stompconsole_audit_stays();
"""
"""Who acted and on which consumer may still be forgotten when a user or a consumer is deleted; their names stay."""


def create_search_indexes(_apps: Any, editor: BaseDatabaseSchemaEditor) -> None:
    """The indexes behind ``header:``, ``json:`` and text, as far as this database can have them."""
    connection = editor.connection
    if connection.vendor != "postgresql":
        return
    with connection.cursor() as cursor:
        for name, column in _JSON.items():
            cursor.execute(_CREATE.format(how="", name=name, what=f"{column} jsonb_path_ops"))
        cursor.execute("SELECT FROM pg_extension WHERE extname = 'pg_trgm'")
        if cursor.fetchone() is not None:
            cursor.execute(_CREATE.format(how="", name=TEXT_INDEX, what=_TEXT))


class SearchedHeaders(models.Func):
    """The headers of a dead letter as their index has them: a condition on anything else does not find it."""

    template = _SEARCHED_HEADERS.replace("(headers", "(%(expressions)s")
    output_field = models.JSONField()


def narrow_header_index(apps: Any, editor: BaseDatabaseSchemaEditor) -> None:
    """Have the index of headers hold only what is searched by it. As long as it is made nobody captures."""
    create_search_indexes(apps, editor)
    _execute(editor, f"DROP INDEX IF EXISTS {_WHOLE_HEADERS}")


def widen_header_index(_apps: Any, editor: BaseDatabaseSchemaEditor) -> None:
    """Take that back."""
    _execute(editor, _CREATE.format(how="", name=_WHOLE_HEADERS, what="headers jsonb_path_ops"))


def compress_by_lz4(_apps: Any, editor: BaseDatabaseSchemaEditor) -> None:
    """Have what is large compressed by LZ4, where this server has it: storing dead letters costs it a sixth less. What
    is there already stays as it is."""
    _compress(editor, "lz4")


def compress_by_default(_apps: Any, editor: BaseDatabaseSchemaEditor) -> None:
    """Take that back."""
    _compress(editor, "default")


def _compress(editor: BaseDatabaseSchemaEditor, how: str) -> None:
    if editor.connection.vendor != "postgresql":
        return
    with editor.connection.cursor() as cursor:
        cursor.execute(_HAS_LZ4)
        if cursor.fetchone()[0]:
            for table, column in _LARGE:
                cursor.execute(f"ALTER TABLE {table} ALTER COLUMN {column} SET COMPRESSION {how}")


def drop_search_indexes(_apps: Any, editor: BaseDatabaseSchemaEditor) -> None:
    """Take them back; the extension may be somebody else's and stays."""
    for name in (*_JSON, TEXT_INDEX):
        _execute(editor, f"DROP INDEX IF EXISTS {name}")


def guard_audit(_apps: Any, editor: BaseDatabaseSchemaEditor) -> None:
    """From now on the database itself refuses to change or delete an entry of the audit."""
    _execute(editor, _GUARD)


def unguard_audit(_apps: Any, editor: BaseDatabaseSchemaEditor) -> None:
    """Take that back."""
    _execute(editor, "DROP TRIGGER IF EXISTS stompconsole_audit_stays ON stompconsole_auditentry")
    _execute(editor, "DROP FUNCTION IF EXISTS stompconsole_audit_stays()")


def _execute(editor: BaseDatabaseSchemaEditor, statement: str) -> None:
    if editor.connection.vendor == "postgresql":
        with editor.connection.cursor() as cursor:
            cursor.execute(statement)


def scans_text(connection: BaseDatabaseWrapper) -> bool:
    """Whether this is PostgreSQL and has no index for text."""
    if connection.vendor != "postgresql":
        return False
    with connection.cursor() as cursor:
        cursor.execute(_UNINDEXED, [TEXT_INDEX])
        return bool(cursor.fetchone()[0])


def index_text(connection: BaseDatabaseWrapper) -> str:
    """Create the index for text while everything goes on; why not, in words, empty when it is there."""
    if connection.vendor != "postgresql":
        return f"{connection.display_name} has no index for text: it is searched row by row."
    if not _got_trigrams(connection):
        return f"The extension pg_trgm is not there, and this user may not create it: a superuser runs {EXTENSION};"
    with connection.cursor() as cursor:
        if scans_text(connection):
            # What is left of one that was broken off is no index, and in the way of one.
            cursor.execute(f"DROP INDEX IF EXISTS {TEXT_INDEX}")
        cursor.execute(_CREATE.format(how="CONCURRENTLY", name=TEXT_INDEX, what=_TEXT))
    return ""


def merge_what_is_pending(connection: BaseDatabaseWrapper) -> None:
    """Have the search indexes take in what was captured lately: until then each search reads all of that as well.

    PostgreSQL does it by itself when a fifth of the table is new, or a few megabytes wait. Only who owns an index may.
    """
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(_MERGE, [[*_JSON, TEXT_INDEX]])


def _got_trigrams(connection: BaseDatabaseWrapper) -> bool:
    try:
        # A savepoint: PostgreSQL goes on after an error in nothing else.
        with transaction.atomic(using=connection.alias), connection.cursor() as cursor:
            cursor.execute(f"{EXTENSION.replace('EXTENSION', 'EXTENSION IF NOT EXISTS')}")
    except DatabaseError:
        return False
    return True

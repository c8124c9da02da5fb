"""Searching dead letters on PostgreSQL: which indexes answer, and what is said where there is none for text."""

from __future__ import annotations

import io

import psycopg
import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection, transaction
from django.test import Client
from pytest_django.plugin import DjangoDbBlocker

from stompconsole import audit, checks
from stompconsole.conf import Settings
from stompconsole.deadletters import searching
from stompconsole.deadletters.filters import Filters
from stompconsole.delivery import envelope
from stompconsole.models import AuditEntry, postgres
from stompconsole.worker import housekeeping
from stompconsole.worker.registry import Registry
from tests.dashboard.rows import make_user
from tests.deadletters.making import make_consumer, make_dead_letters, make_worker
from tests.support import databases
from tests.support.servers import TestServer

TERMS = [
    ("header:tenant=7", "stompconsole_deadletter_searched_headers"),
    ("json:order.id=7", "stompconsole_deadletter_document"),
    ("json:order.sku=A-7", "stompconsole_deadletter_document"),
    ("some-words", postgres.TEXT_INDEX),
    ("body:some-words", postgres.TEXT_INDEX),
    ("error:ledger", postgres.TEXT_INDEX),
    ("id:m-7", "message_id"),
]


@pytest.mark.usefixtures("postgres_rows")
@pytest.mark.parametrize(("term", "index"), TERMS)
def test_each_term_is_answered_by_its_index(term: str, index: str) -> None:
    call_command("deadletters", "index", stdout=io.StringIO())
    for number in range(50):
        body = f'{{"order": {{"id": {number}, "sku": "A-{number}"}}, "text": "some-words {number}"}}'.encode()
        fields = {"headers": {"tenant": str(number)}, "message_id": f"m-{number}", "error_message": "POST ledger"}
        make_dead_letters(None, 1, body=body, **fields)
    rows = Filters(text=term).queryset()
    assert rows.count() in {1, 50}
    with connection.cursor() as cursor:
        # Fifty rows are read faster without any index: what counts is that it can be used.
        cursor.execute("ANALYZE stompconsole_deadletter")
        cursor.execute("SET enable_seqscan = off; SET enable_indexscan = off")
    assert index in rows.order_by().explain()


@pytest.mark.usefixtures("postgres_rows")
def test_a_header_without_an_index_is_found_and_it_is_said_that_it_takes_long() -> None:
    client = Client()
    client.force_login(make_user("view_console"))
    make_dead_letters(make_consumer(), 1, headers={envelope.WORKER: "web-1:7", "tenant": "blue"})
    term = f"header:{envelope.WORKER}=web-1:7"
    assert Filters(text=term).queryset().count() == 1
    assert not Filters(text=f"{term}0").queryset().exists()
    assert searching.SCANS_HEADER in client.get(f"/console/dead-letters/?text={term}").content.decode()
    assert "row by row" not in client.get("/console/dead-letters/?text=header:tenant=blue").content.decode()


def test_no_header_of_ours_is_in_the_index() -> None:
    ours = {value for value in vars(envelope).values() if isinstance(value, str) and value.startswith(envelope.PREFIX)}
    assert ours - {envelope.PREFIX} == {name for name in postgres.UNINDEXED_HEADERS if name.startswith(envelope.PREFIX)}


def pending_pages() -> int:
    """Pages of the index of headers that wait to be merged: each search reads them all."""
    with connection.cursor() as cursor:
        cursor.execute("CREATE EXTENSION IF NOT EXISTS pgstattuple")
        cursor.execute("SELECT pending_pages FROM pgstatginindex('stompconsole_deadletter_searched_headers')")
        return int(cursor.fetchone()[0])


@pytest.mark.usefixtures("postgres_rows")
def test_housekeeping_has_the_indexes_take_in_what_was_captured_lately() -> None:
    make_dead_letters(None, 50, headers={"tenant": "blue"})
    assert pending_pages() > 0
    housekeeping.sweep(Registry(make_worker().pk), Settings())
    assert pending_pages() == 0


@pytest.mark.usefixtures("postgres_rows")
def test_a_user_who_does_not_own_the_indexes_leaves_them_to_their_owner() -> None:
    make_dead_letters(None, 50, headers={"tenant": "blue"})
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("CREATE ROLE guest")
        cursor.execute("SET LOCAL ROLE guest")
        postgres.merge_what_is_pending(connection)
        transaction.set_rollback(True)
    assert pending_pages() > 0


@pytest.mark.usefixtures("postgres_rows")
def test_where_text_has_no_index_it_is_said_and_the_command_makes_one() -> None:
    client = Client()
    client.force_login(make_user("view_console"))
    make_dead_letters(make_consumer(), 1, body=b"some-words")
    page = client.get("/console/dead-letters/?text=some-words").content.decode()
    assert "It is made by: manage.py deadletters index" in page
    assert "row by row" not in client.get("/console/dead-letters/?text=header:x=1").content.decode()
    assert [found.id for found in checks.check_searching(databases=["default"])] == ["stompconsole.W011"]
    assert checks.check_searching() == []
    out = io.StringIO()
    call_command("deadletters", "index", stdout=out)
    assert "searched by an index" in out.getvalue()
    assert not postgres.scans_text(connection)
    assert checks.check_searching(databases=["default"]) == []
    assert "row by row" not in client.get("/console/dead-letters/?text=some-words").content.decode()


def test_where_the_extension_is_there_migrating_makes_the_index(
    postgres: TestServer, django_db_blocker: DjangoDbBlocker
) -> None:
    with databases.postgres_database(postgres) as url:
        with psycopg.connect(url, autocommit=True) as session:
            session.execute("CREATE EXTENSION pg_trgm")
        databases.migrate(url)
        with databases.as_default(url), django_db_blocker.unblock():
            assert checks.check_searching(databases=["default"]) == []


def test_a_user_who_may_not_create_the_extension_migrates_all_the_same(
    postgres: TestServer, django_db_blocker: DjangoDbBlocker
) -> None:
    with databases.postgres_database(postgres) as url, psycopg.connect(url, autocommit=True) as session:
        session.execute("DROP ROLE IF EXISTS modest; CREATE ROLE modest LOGIN PASSWORD 'modest'")
        session.execute("GRANT CREATE, USAGE ON SCHEMA public TO modest")
        modest = url.replace(url.split("//")[1].split("@")[0], "modest:modest")
        try:
            databases.migrate(modest)
            with databases.as_default(modest), django_db_blocker.unblock():
                with pytest.raises(CommandError, match="a superuser runs CREATE EXTENSION pg_trgm"):
                    call_command("deadletters", "index")
                session.execute("CREATE EXTENSION pg_trgm")
                call_command("deadletters", "index", stdout=io.StringIO())
        finally:
            session.execute("DROP OWNED BY modest CASCADE; DROP ROLE modest")


@pytest.mark.usefixtures("postgres_rows")
@pytest.mark.parametrize("sql", ["UPDATE {} SET target = 'z'", "DELETE FROM {}"])
def test_the_database_itself_keeps_the_audit(sql: str) -> None:
    user = make_user(name="ada")
    audit.record("x", "y", actor=user)
    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(sql.format("stompconsole_auditentry"))
    user.delete()
    assert (AuditEntry.objects.get().actor, AuditEntry.objects.get().actor_name) == (None, "ada")

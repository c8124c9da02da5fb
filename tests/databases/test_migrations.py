"""Migrations on PostgreSQL."""

from __future__ import annotations

from tests.support.databases import migrate, postgres_database
from tests.support.servers import TestServer


def test_migrations_go_forth_and_back_and_forth(postgres: TestServer) -> None:
    with postgres_database(postgres) as url:
        assert "Applying stompconsole.0001_initial" in migrate(url)
        assert "Unapplying stompconsole.0001_initial" in migrate(url, "stompconsole", "zero")
        assert "Applying stompconsole.0001_initial" in migrate(url)
        migrate(url, "--check")

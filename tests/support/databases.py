"""Databases of a test's own in a running PostgreSQL, and Django's default database put on one of them."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import dj_database_url
from django.db import connections

from tests.support import processes
from tests.support.servers import TestServer

MIGRATE_TIMEOUT_S = 90.0


@contextmanager
def postgres_database(server: TestServer, template: str = "") -> Iterator[str]:
    """The URL of a new database, dropped at the end whoever is connected. ``template``: URL of the one it is like."""
    import psycopg

    name = f"stompconsole_{uuid.uuid4().hex[:12]}"
    like = f' TEMPLATE "{urlsplit(template).path[1:]}"' if template else ""
    with psycopg.connect(server.url, autocommit=True) as session:
        session.execute(f'CREATE DATABASE "{name}"{like}'.encode())
    try:
        yield urlsplit(server.url)._replace(path=f"/{name}").geturl()
    finally:
        # The test may have stopped it, and then it has not been started again yet.
        server.start()
        with psycopg.connect(server.url, autocommit=True) as session:
            session.execute(f'DROP DATABASE "{name}" WITH (FORCE)'.encode())


def sqlite_database(folder: Path) -> str:
    """The URL of a new database in ``folder``."""
    return f"sqlite:///{folder / 'own.sqlite3'}"


def migrate(url: str, *arguments: str) -> str:
    """``manage.py migrate`` on the database at a URL; returns what it wrote."""
    with processes.start_manage("migrate", *arguments, env={"DATABASE_URL": url}) as migration:
        assert migration.wait(MIGRATE_TIMEOUT_S) == 0, migration.text()
        return migration.text()


@contextmanager
def as_default(url: str) -> Iterator[None]:
    """Have Django's default database be the one at a URL, in this thread and in those started meanwhile."""
    settings, before = connections.settings["default"], connections["default"]
    connections.settings["default"] = connections.configure_settings({"default": dj_database_url.parse(url)})["default"]
    del connections["default"]
    try:
        yield
    finally:
        connections["default"].close()
        connections.settings["default"] = settings
        connections["default"] = before

"""Races between processes, on SQLite and on PostgreSQL: exactly one winner for each slot."""

from __future__ import annotations

import sys
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest

from tests.support import processes
from tests.support.servers import TestServer

pytestmark = pytest.mark.slow

SLOTS = 30
PROCESSES = 4


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """An empty, migrated database that several processes can use."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path / 'race.sqlite3'}"
        migrate(url)
        yield url
        return
    postgres: TestServer = request.getfixturevalue("postgres")
    name = f"stompconsole_{uuid.uuid4().hex[:12]}"
    url = urlsplit(postgres.url)._replace(path=f"/{name}").geturl()
    with psycopg.connect(postgres.url, autocommit=True) as server:
        server.execute(f'CREATE DATABASE "{name}"')
        try:
            migrate(url)
            yield url
        finally:
            server.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


def migrate(url: str) -> None:
    with processes.start_manage("migrate", env={"DATABASE_URL": url}) as migration:
        assert migration.wait(90) == 0, migration.text()


def race(url: str, *arguments: object) -> processes.ManagedProcess:
    env = {"DATABASE_URL": url, "DJANGO_SETTINGS_MODULE": "stompconsole.project.settings"}
    return processes.start([sys.executable, "-m", "tests.worker.race", *map(str, arguments)], env=env)


def test_processes_that_race_for_slots_have_one_winner_each(database_url: str) -> None:
    preparing = race(database_url, "prepare", SLOTS)
    assert preparing.wait(60) == 0, preparing.text()
    begin_at = time.time() + 4
    rivals = [race(database_url, "run", SLOTS, begin_at) for _ in range(PROCESSES)]
    for rival in rivals:
        assert rival.wait(90) == 0, rival.text()
    wins = Counter(slot for rival in rivals for slot in rival.wait_for_line(r"^won(.*)$").group(1).split())
    assert wins == dict.fromkeys(map(str, range(SLOTS)), 1)

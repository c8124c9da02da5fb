"""The tests that touch rows, once more and on PostgreSQL: leases, races, buckets, dead letters, replays, pages."""

from __future__ import annotations

import sys

import pytest

from tests.support import processes
from tests.support.databases import postgres_database
from tests.support.servers import TestServer

FOLDERS = ("correlation", "dashboard", "deadletters", "importing", "metrics", "models", "publishing", "worker")
CHOSEN = "rows and not (broker or browser or slow)"
TIME_LIMIT_S = 900.0


@pytest.mark.slow
@pytest.mark.timeout(TIME_LIMIT_S + 20)
def test_what_touches_rows_does_on_postgres_what_it_does_on_sqlite(postgres: TestServer) -> None:
    # Two at once, each with a database of its own: they wait for nothing but the processor and the server.
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-n", "2", "-m", CHOSEN]
    with postgres_database(postgres) as url:
        env = {"DATABASE_URL": url, "PYTEST_ADDOPTS": ""}
        with processes.start([*command, *(f"tests/{folder}" for folder in FOLDERS)], env=env) as run:
            status = run.wait(TIME_LIMIT_S)
    assert status == 0, run.text()
    assert "database: postgresql" in run.text()

"""The servers themselves: started, stopped and killed as tests expect it."""

from __future__ import annotations

from collections.abc import Callable

import psycopg
import pytest

from tests.support.databases import postgres_database
from tests.support.servers import TestServer

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("end", [TestServer.stop, TestServer.kill])
def test_postgres_comes_back_with_its_rows(postgres: TestServer, end: Callable[[TestServer], None]) -> None:
    with postgres_database(postgres) as url:
        with psycopg.connect(url) as session:
            session.execute("CREATE TABLE kept AS SELECT 1 AS number")
        end(postgres)
        assert not postgres.answers()
        postgres.start()
        with psycopg.connect(url) as session:
            assert session.execute("SELECT number FROM kept").fetchall() == [(1,)]


@pytest.mark.parametrize("end", [TestServer.stop, TestServer.kill])
def test_redis_comes_back(redis: TestServer, end: Callable[[TestServer], None]) -> None:
    end(redis)
    assert not redis.answers()
    redis.start()
    assert redis.answers()

"""Servers that are nowhere to be had: seen at home, not let through where everything has to run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.support import installing, pool
from tests.support.pool import ServerPool

MISSING = "no redis: install Debian's redis-server; or name one with STOMPCONSOLE_TEST_REDIS"


@pytest.fixture
def servers(monkeypatch: pytest.MonkeyPatch) -> Iterator[ServerPool]:
    """A pool on a machine without Redis, where nothing can be installed."""
    monkeypatch.delenv("STOMPCONSOLE_TEST_REDIS", raising=False)
    monkeypatch.setattr(installing, "is_possible", lambda: False)
    monkeypatch.setitem(pool.KINDS, "redis", replace(pool.KINDS["redis"], server=lambda: None))
    made = ServerPool()
    yield made
    made.close()


def test_a_missing_server_skips_its_tests(servers: ServerPool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match=MISSING):
        servers.server("redis")


def test_a_missing_server_fails_its_tests_in_ci(servers: ServerPool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match=MISSING):
        servers.server("redis")

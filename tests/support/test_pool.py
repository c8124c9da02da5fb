"""Servers that are nowhere to be had: seen at home, not let through where everything has to run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.support import artemis, given, installing, pool
from tests.support.pool import ServerPool
from tests.support.servers import Unavailable

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


def test_what_comes_from_maven_central_is_skipped_in_ci_as_well(
    servers: ServerPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def out_of_reach() -> None:
        raise Unavailable("Maven can't fetch it: Connection refused")

    monkeypatch.setenv("CI", "true")
    monkeypatch.delenv("STOMPCONSOLE_TEST_ARTEMIS", raising=False)
    monkeypatch.setitem(pool.KINDS, "artemis", replace(pool.KINDS["artemis"], server=out_of_reach))
    with pytest.raises(pytest.skip.Exception, match="no artemis: Maven can't fetch it: Connection refused"):
        servers.broker("artemis")


def test_the_other_door_of_an_artemis_that_was_given_has_a_variable_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    named = given.broker("artemis", "broker.example:61613")
    monkeypatch.delenv("STOMPCONSOLE_TEST_ARTEMIS_PREFIXED", raising=False)
    with pytest.raises(pytest.skip.Exception, match="by STOMPCONSOLE_TEST_ARTEMIS_PREFIXED"):
        artemis.prefixed(named)
    monkeypatch.setenv("STOMPCONSOLE_TEST_ARTEMIS_PREFIXED", "broker.example:61614")
    assert artemis.prefixed(named).endpoint().port == 61614

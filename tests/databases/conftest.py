"""PostgreSQL under Django's default connection, and Redis under its channel layer."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from django.test import override_settings
from pytest_django.plugin import DjangoDbBlocker

from stompconsole.worker import nudges
from tests.support import databases
from tests.support.brokers import TestBroker
from tests.support.servers import TestServer
from tests.worker.stage import Stage


@pytest.fixture(scope="session")
def migrated_postgres(postgres: TestServer) -> Iterator[str]:
    """The URL of a migrated database that nobody uses: a copy of it is there at once."""
    with databases.postgres_database(postgres) as url:
        databases.migrate(url)
        yield url


@pytest.fixture
def postgres_rows(postgres: TestServer, migrated_postgres: str, django_db_blocker: DjangoDbBlocker) -> Iterator[str]:
    """Models are in a PostgreSQL database of the test's own, whose URL this is."""
    with (
        databases.postgres_database(postgres, template=migrated_postgres) as url,
        databases.as_default(url),
        django_db_blocker.unblock(),
    ):
        yield url


@pytest.fixture
def redis_nudges(redis: TestServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """What this process saves is nudged over Redis, whose URL this is."""
    monkeypatch.setattr(nudges, "_sending", nudges._Layer())
    layer = {"BACKEND": "channels_redis.core.RedisChannelLayer", "CONFIG": {"hosts": [redis.url]}}
    with override_settings(CHANNEL_LAYERS={"default": layer}):
        yield redis.url


@pytest.fixture
def stage(postgres_rows: str, redis_nudges: str, devbroker: TestBroker, tmp_path: Path) -> Iterator[Stage]:
    """A broker, and rows in PostgreSQL that are nudged over Redis."""
    with Stage(devbroker, tmp_path) as made:
        yield made

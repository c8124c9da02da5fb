"""Fixtures of the whole suite: brokers, databases, destinations, a proxy that breaks connections."""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from django.db import connection

from tests.support import artemis as artemis_rig
from tests.support import databases
from tests.support.brokers import TestBroker
from tests.support.dev_rig import dev_broker
from tests.support.pool import BROKERS, KINDS, ServerPool
from tests.support.proxy import Proxy
from tests.support.servers import TestServer

DOORS = {"artemis_prefixed": "artemis"}
"""Fixtures that are another way into a server: it is the one that has to run."""

ANY_BROKER = ["devbroker", *(pytest.param(name, marks=pytest.mark.broker) for name in (*BROKERS, *DOORS))]

DATABASE_FIXTURES = {"db", "transactional_db"}

CHOOSING = ("any_broker", "any_database")
"""Fixtures of many kinds: their parameter names the chosen one."""

_pool_key = pytest.StashKey[ServerPool]()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what uses a real server, so that ``-m "not broker"`` leaves it out, and what uses rows."""
    for item in items:
        if _kinds_of(item):
            item.add_marker(pytest.mark.broker)
        if item.get_closest_marker("django_db") or DATABASE_FIXTURES & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.rows)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """What a test has logged may hold half a character, and pytest-xdist sends reports as UTF-8."""
    report = yield
    report.sections = [(name, text.encode(errors="replace").decode()) for name, text in report.sections]
    return report


def pytest_report_header() -> str:
    """Which database the rows of this run are in."""
    return f"database: {connection.vendor}"


def pytest_collection_finish(session: pytest.Session) -> None:
    """Start every server that is going to be needed, now: they get ready while other tests run.

    Here and not in a fixture: installing one takes longer than a test may.
    """
    if session.config.option.collectonly:
        return
    pool = session.config.stash[_pool_key] = ServerPool()
    pool.prepare(sorted(set(itertools.chain.from_iterable(map(_kinds_of, session.items)))))


def pytest_unconfigure(config: pytest.Config) -> None:
    """End the servers of the run."""
    pool = config.stash.get(_pool_key, None)
    if pool is not None:
        pool.close()


def _kinds_of(item: pytest.Item) -> set[str]:
    fixtures = set(getattr(item, "fixturenames", ()))
    callspec = getattr(item, "callspec", None)
    chosen = {callspec.params.get(name) for name in CHOOSING} if callspec else set()
    return set(KINDS) & {DOORS.get(name, name) for name in fixtures | chosen}


@pytest.fixture(scope="session")
def server_pool(pytestconfig: pytest.Config) -> ServerPool:
    return pytestconfig.stash[_pool_key]


@pytest.fixture(scope="session")
def rabbitmq(server_pool: ServerPool) -> TestBroker:
    """A running RabbitMQ with its management API."""
    return server_pool.broker("rabbitmq")


@pytest.fixture(scope="session")
def activemq(server_pool: ServerPool) -> TestBroker:
    """A running ActiveMQ Classic that checks logins and dead-letters to ``DLQ.<queue>``."""
    return server_pool.broker("activemq")


@pytest.fixture(scope="session")
def activemq6(server_pool: ServerPool) -> TestBroker:
    """A running ActiveMQ Classic 6, configured like the other."""
    return server_pool.broker("activemq6")


@pytest.fixture(scope="session")
def artemis(server_pool: ServerPool) -> TestBroker:
    """A running ActiveMQ Artemis that checks logins, by its stock acceptor."""
    return server_pool.broker("artemis")


@pytest.fixture(scope="session")
def artemis_prefixed(artemis: TestBroker) -> TestBroker:
    """The same Artemis by an acceptor that knows queues and topics by ``/queue/`` and ``/topic/``."""
    return artemis_rig.prefixed(artemis)


@pytest.fixture(scope="session")
def postgres(server_pool: ServerPool) -> TestServer:
    """A running PostgreSQL; its URL leads to a database in which others can be created."""
    return server_pool.server("postgres")


@pytest.fixture(scope="session")
def redis(server_pool: ServerPool) -> TestServer:
    """A running Redis."""
    return server_pool.server("redis")


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.broker)])
def any_database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of an empty, migrated database that several processes can use: on SQLite, on PostgreSQL."""
    if request.param == "sqlite":
        url = databases.sqlite_database(tmp_path)
        databases.migrate(url)
        yield url
        return
    with databases.postgres_database(request.getfixturevalue("postgres")) as url:
        databases.migrate(url)
        yield url


@pytest.fixture
def devbroker() -> Iterator[TestBroker]:
    """A development broker of the test's own."""
    with dev_broker() as broker:
        yield broker


@pytest.fixture(params=ANY_BROKER)
def any_broker(request: pytest.FixtureRequest) -> TestBroker:
    """Each broker in turn: the development broker, RabbitMQ, ActiveMQ 5 and 6, both doors of Artemis."""
    broker: TestBroker = request.getfixturevalue(request.param)
    return broker


@pytest.fixture(autouse=True)
def _stopped_servers_come_back(server_pool: ServerPool) -> Iterator[None]:
    yield
    server_pool.revive()


@pytest.fixture
def destination() -> str:
    """A queue that nobody else uses."""
    return f"/queue/test.{uuid.uuid4().hex[:12]}"


@pytest.fixture
def proxy(any_broker: TestBroker) -> Iterator[Proxy]:
    """A proxy before the broker of the test, to break its connections."""
    with Proxy(any_broker.endpoint()) as between:
        yield between

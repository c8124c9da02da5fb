"""The database connections of handlers, sync and async: opened when needed, kept to CONN_MAX_AGE, replaced when
unusable, one for each handler thread, closed with it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from asgiref.sync import sync_to_async
from django.db import connection, connections
from pytest_django.plugin import DjangoDbBlocker

from stompconsole.delivery.payload import Handler, Payload
from stompconsole.delivery.runner import SubscriptionRunner
from stompconsole.delivery.senders import Senders
from stompconsole.delivery.specs import ConsumerSpec, RetryPolicy, consume_spec
from stompconsole.worker.works import handler_work
from tests.delivery.running import Running, Seen, send, take_dead_letters
from tests.support import databases
from tests.support.brokers import TestBroker
from tests.support.servers import TestServer
from tests.support.waiting import until

Ask = Callable[[], int]
MakeHandler = Callable[[Seen, Ask], Handler]

OTHERS_CONNECTED = (
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
)


@pytest.fixture
def database(postgres: TestServer, django_db_blocker: DjangoDbBlocker) -> Iterator[psycopg.Connection[Any]]:
    """An empty PostgreSQL database under Django's default connection, and a session of the test's own in it."""
    with (
        databases.postgres_database(postgres) as url,
        databases.as_default(url),
        psycopg.connect(url, autocommit=True) as session,
        django_db_blocker.unblock(),
    ):
        yield session


@pytest.fixture
def max_age(database: psycopg.Connection[Any]) -> Callable[[float], None]:
    """Sets CONN_MAX_AGE."""

    def set_to(seconds: float) -> None:
        connections.settings["default"]["CONN_MAX_AGE"] = seconds

    return set_to


def backend() -> int:
    """Ask the database; the process in it that answers."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        pid: int = cursor.fetchone()[0]
        return pid


def sync_handler(seen: Seen, ask: Ask) -> Handler:
    def handler(payload: Payload) -> None:
        seen.bodies.append(ask())

    return handler


def async_handler(seen: Seen, ask: Ask) -> Handler:
    async def handler(payload: Payload) -> None:
        seen.bodies.append(await sync_to_async(ask)())

    return handler


@pytest.fixture(params=[sync_handler, async_handler], ids=["sync", "async"])
def make(request: pytest.FixtureRequest) -> MakeHandler:
    """Makes a handler that asks the database, and keeps which of its processes answered."""
    function: MakeHandler = request.param
    return function


@contextmanager
def consuming(
    broker: TestBroker, destination: str, make: MakeHandler, ask: Ask = backend, **fields: Any
) -> Iterator[Running]:
    """A consumer as a worker runs it."""
    seen, senders = Seen(), Senders()
    spec = ConsumerSpec(name="c", broker=broker.broker_spec(), destination=destination, handler="h", **fields)
    work = handler_work(spec, make(seen, ask), senders, "w:1", seen)
    runner = SubscriptionRunner(consume_spec(spec), work, seen)
    runner.start()
    run = Running(runner, seen, senders, spec)
    try:
        yield run
    finally:
        run.end()
        senders.close(2.0)


def one_more(run: Running) -> int:
    """Have one more message handled; which process of the database it asked."""
    before = len(run.seen.bodies)
    send(run.consumer.broker, run.consumer.destination, ["ask"])
    run.seen.wait(before + 1)
    run.wait_settled()
    pid: int = run.seen.bodies[-1]
    return pid


def open_connections(database: psycopg.Connection[Any]) -> int:
    row = database.execute(OTHERS_CONNECTED).fetchone()
    assert row is not None
    count: int = row[0]
    return count


def wait_for_none_open(database: psycopg.Connection[Any]) -> None:
    until(lambda: open_connections(database) == 0, 5, "no connection of a handler is open")


def test_without_a_max_age_a_connection_ends_with_its_message(
    devbroker: TestBroker,
    destination: str,
    database: psycopg.Connection[Any],
    max_age: Callable[[float], None],
    make: MakeHandler,
) -> None:
    max_age(0)
    with consuming(devbroker, destination, make) as run:
        pids = []
        for _ in range(3):
            pids.append(one_more(run))
            wait_for_none_open(database)
        assert len(set(pids)) == 3


def test_without_a_max_age_messages_of_one_batch_have_a_connection_each(
    devbroker: TestBroker,
    destination: str,
    database: psycopg.Connection[Any],
    max_age: Callable[[float], None],
    make: MakeHandler,
) -> None:
    max_age(0)
    send(devbroker.broker_spec(), destination, list(range(5)))
    with consuming(devbroker, destination, make) as run:
        run.seen.wait(5)
        assert len(set(run.seen.bodies)) == 5
        wait_for_none_open(database)


def test_a_connection_is_kept_over_messages_and_closed_with_its_thread(
    devbroker: TestBroker,
    destination: str,
    database: psycopg.Connection[Any],
    max_age: Callable[[float], None],
    make: MakeHandler,
) -> None:
    max_age(600)
    with consuming(devbroker, destination, make) as run:
        assert len({one_more(run) for _ in range(3)}) == 1
        assert open_connections(database) == 1
    wait_for_none_open(database)


def test_a_connection_is_replaced_when_it_is_too_old(
    devbroker: TestBroker,
    destination: str,
    database: psycopg.Connection[Any],
    max_age: Callable[[float], None],
    make: MakeHandler,
) -> None:
    age_s = 0.5
    max_age(age_s)
    with consuming(devbroker, destination, make) as run:
        first = one_more(run)
        too_old_at = time.monotonic() + age_s
        until(lambda: time.monotonic() > too_old_at, 5, "it is too old")
        assert one_more(run) != first
        assert open_connections(database) == 1


def test_a_connection_that_is_lost_costs_one_message_and_the_next_has_a_new_one(
    devbroker: TestBroker,
    destination: str,
    database: psycopg.Connection[Any],
    max_age: Callable[[float], None],
    make: MakeHandler,
) -> None:
    max_age(600)
    with consuming(devbroker, destination, make) as run:
        first = one_more(run)
        database.execute("SELECT pg_terminate_backend(%s)", [first])
        wait_for_none_open(database)
        send(devbroker.broker_spec(), destination, ["lost"])
        assert len(take_dead_letters(run.consumer, 1)) == 1
        assert one_more(run) != first
        assert one_more(run) == run.seen.bodies[-1] == run.seen.bodies[-2]
        assert run.seen.counts["dead_lettered"] == 1


def test_with_a_second_attempt_a_lost_connection_costs_nothing(
    devbroker: TestBroker,
    destination: str,
    database: psycopg.Connection[Any],
    max_age: Callable[[float], None],
    make: MakeHandler,
) -> None:
    max_age(600)
    policy = RetryPolicy(max_attempts=2, first_delay_s=0.0)
    with consuming(devbroker, destination, make, retry=policy) as run:
        first = one_more(run)
        database.execute("SELECT pg_terminate_backend(%s)", [first])
        wait_for_none_open(database)
        assert one_more(run) != first
        assert run.seen.counts["dead_lettered"] == 0


def test_each_handler_thread_has_a_connection_of_its_own(
    devbroker: TestBroker,
    destination: str,
    database: psycopg.Connection[Any],
    max_age: Callable[[float], None],
    make: MakeHandler,
) -> None:
    max_age(600)
    together = threading.Barrier(3)

    def ask() -> int:
        together.wait(10)
        return backend()

    send(devbroker.broker_spec(), destination, list(range(6)))
    with consuming(devbroker, destination, make, ask, threads=3) as run:
        run.seen.wait(6)
        assert len(set(run.seen.bodies)) == 3
        assert open_connections(database) == 3
    wait_for_none_open(database)


def test_a_handler_that_asks_no_database_has_no_connection(
    devbroker: TestBroker, destination: str, database: psycopg.Connection[Any], make: MakeHandler
) -> None:
    def make_idle(seen: Seen, _: Ask) -> Handler:
        async def asynchronous(payload: Payload) -> None:
            seen.bodies.append(threading.active_count())

        def synchronous(payload: Payload) -> None:
            seen.bodies.append(threading.active_count())

        return asynchronous if make is async_handler else synchronous

    send(devbroker.broker_spec(), destination, list(range(5)))
    with consuming(devbroker, destination, make_idle) as run:
        run.seen.wait(5)
        assert open_connections(database) == 0
        assert len(set(run.seen.bodies)) == 1, "nor a thread for it"


def test_the_thread_of_an_async_handlers_connection_ends_with_the_handler_thread(
    devbroker: TestBroker, destination: str, database: psycopg.Connection[Any], max_age: Callable[[float], None]
) -> None:
    max_age(600)
    threads: set[threading.Thread] = set()

    def ask() -> int:
        threads.add(threading.current_thread())
        return backend()

    with consuming(devbroker, destination, async_handler, ask) as run:
        one_more(run)
        one_more(run)
        assert len(threads) == 1
    (thread,) = threads
    until(lambda: not thread.is_alive(), 5, "its thread has ended")

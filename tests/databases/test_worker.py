"""``runworker stomp`` on PostgreSQL and Redis, and with each of them gone for a while."""

from __future__ import annotations

import time
from collections.abc import Callable
from urllib.parse import urlsplit

import pytest
from django.db import connection

from stompconsole.deadletters.selection import replay_selected
from stompconsole.models import DeadLetter, DeadLetterState, ThroughputBucket, Worker
from stompconsole.transport.session import Endpoint
from stompconsole.worker import nudges
from tests.support import processes
from tests.support.proxy import Proxy
from tests.support.servers import TestServer
from tests.support.waiting import until
from tests.worker.stage import Stage

pytestmark = pytest.mark.slow

NO_POLL_S = 120.0
"""A poll interval that no test lives to see: what a worker notices, it was nudged to."""


def test_a_consumer_runs_and_a_dead_letter_is_replayed_long_before_the_next_poll(
    stage: Stage, redis: TestServer
) -> None:
    worker = stage.worker(POLL_INTERVAL=NO_POLL_S, redis=redis.url)
    worker.wait_for_line("has started")
    consumer = stage.consumer("orders", handler="fail", capture=True)
    first_run = stage.wait_for(consumer, "running")[0].state_since
    stage.send("/queue/orders", ["a\0b"])
    letter = until(DeadLetter.objects.first, what="it is captured")
    assert bytes(letter.body) == b'"a\\u0000b"'

    consumer.handler = "tests.worker.sample.handlers.note"
    consumer.save()
    until(lambda: stage.slots(consumer)[0].state_since != first_run, what="it is started anew")
    stage.wait_for(consumer, "running")
    assert replay_selected([letter.pk], actor=None).chosen == 1
    until(lambda: DeadLetter.objects.get().state == DeadLetterState.PROCESSED, what="the replay comes out well")
    assert stage.written() == ["a\0b"]

    assert worker.terminate() == 0
    assert Worker.objects.get().state == "stopped"
    assert [slot.worker_id for slot in stage.slots(consumer)] == [None]


def test_a_worker_goes_on_without_redis_and_hears_nudges_again_once_it_is_back(stage: Stage, redis: TestServer) -> None:
    worker = stage.worker(POLL_INTERVAL=NO_POLL_S, redis=redis.url)
    worker.wait_for_line("has started")
    stage.wait_for(stage.consumer("orders"), "running")
    redis.kill()
    worker.wait_for_line("nudges can't be heard")
    stage.send("/queue/orders", range(20))
    until(lambda: len(stage.written()) == 20, what="messages are handled meanwhile")
    saved_meanwhile = stage.consumer("meanwhile")

    redis.start()
    worker.wait_for_line("the channel layer works again")
    stage.wait_for(saved_meanwhile, "running")
    until(lambda: time.monotonic() > nudges._sending.quiet_until_s, what="whoever saves tries Redis again")
    stage.wait_for(stage.consumer("after"), "running")
    assert worker.terminate() == 0


@pytest.mark.parametrize("end", [TestServer.stop, TestServer.kill])
def test_messages_are_handled_while_postgres_is_away_and_the_rows_catch_up(
    stage: Stage, postgres: TestServer, redis: TestServer, end: Callable[[TestServer], None]
) -> None:
    worker = stage.worker(LEASE=60.0, redis=redis.url)
    orders, failing = stage.consumer("orders"), stage.consumer("failing", handler="fail", capture=True)
    for consumer in (orders, failing):
        stage.wait_for(consumer, "running")
    connection.close()
    end(postgres)
    worker.wait_for_line("the database is away, the worker goes on trying")
    stage.send("/queue/orders", range(50))
    stage.send("/queue/failing", ["bad"])
    until(lambda: len(stage.written()) == 50, what="all are handled meanwhile")
    worker.wait_for_line("dead letters can't be stored, they stay with the broker")

    postgres.start()
    worker.wait_for_line("the database is back")
    until(lambda: stage.slots(orders)[0].acked == 50, what="the slot catches up")
    until(lambda: ThroughputBucket.objects.filter(width_s=3600, acked=50).exists(), what="the buckets catch up")
    letter = until(DeadLetter.objects.first, 20, "the dead letter is captured")
    assert letter.error_message == "no good: bad"
    stage.wait_for(stage.consumer("after"), "running")
    assert DeadLetter.objects.count() == 1
    assert worker.terminate() == 0


def test_a_worker_whose_postgres_falls_silent_stops_in_time_and_starts_again_later(
    stage: Stage, postgres_rows: str
) -> None:
    at = urlsplit(postgres_rows)
    with Proxy(Endpoint(host=at.hostname or "", port=at.port or 0)) as between:
        url = at._replace(netloc=f"{at.username}:{at.password}@127.0.0.1:{between.endpoint.port}").geturl()
        env = {**stage.environment(LEASE=2.5), "DATABASE_URL": url}
        with processes.start_manage("runworker", "stomp", env=env) as worker:
            stage.wait_for(stage.consumer("orders"), "running")
            between.freeze()
            worker.wait_for_line("aborted: the lease of its slot could not be renewed in time")
            stage.send("/queue/orders", ["a"])
            assert stage.written() == []
            between.thaw()
            until(lambda: stage.written() == ["a"], 20, "it starts again by itself")
            assert worker.terminate() == 0


def test_workers_outlive_a_postgres_that_refuses_to_write(stage: Stage) -> None:
    before = stage.worker(LEASE=60.0)
    stage.wait_for(stage.consumer("orders"), "running")
    take_writes("off")
    meanwhile = stage.worker()
    meanwhile.wait_for_line("the database is away, .*read-only transaction")
    take_writes("on")
    before.wait_for_line("the database is back")
    stage.wait_for(stage.consumer("after"), "running")
    meanwhile.wait_for_line("has started")
    assert [before.terminate(), meanwhile.terminate()] == [0, 0]


def take_writes(word: str) -> None:
    """``off``: the database refuses writes, as one does that has become a standby."""
    name = connection.settings_dict["NAME"]
    with connection.cursor() as cursor:
        cursor.execute("SET default_transaction_read_only = off")
        cursor.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = {'off' if word == 'on' else 'on'}")
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s AND pid <> pg_backend_pid()",
            [name],
        )

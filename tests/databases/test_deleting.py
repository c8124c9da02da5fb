"""A consumer that is deleted while workers write rows of it."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta

from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from stompconsole.metrics import buckets
from stompconsole.metrics.tally import Counts
from stompconsole.models import Broker, Consumer, ThroughputBucket
from tests.support.waiting import until

CONSUMERS = 12
WORKERS = 2


@contextmanager
def workers_that_count(consumer_ids: Sequence[int]) -> Iterator[list[BaseException]]:
    """Threads that add counts without a pause; what they raise is given."""
    stop = threading.Event()
    errors: list[BaseException] = []

    def add() -> None:
        now = timezone.now()
        counts = dict.fromkeys(consumer_ids, Counts(received=1, acked=1, latency=(1, *[0] * 15)))
        try:
            for turn in itertools.count():
                if stop.is_set():
                    break
                buckets.add_all(counts, now + timedelta(seconds=10 * (turn % 7)))
        except BaseException as error:  # noqa: BLE001 - handed to the test, which looks at it
            errors.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=add, daemon=True) for _ in range(WORKERS)]
    for thread in threads:
        thread.start()
    try:
        yield errors
    finally:
        stop.set()
        for thread in threads:
            thread.join(20)


def test_a_consumer_can_be_deleted_while_workers_count_its_messages(postgres_rows: str) -> None:
    client = Client()
    client.force_login(User.objects.create_superuser("operator"))
    broker = Broker.objects.create(name="b")
    names = [f"c{number}" for number in range(CONSUMERS)]
    rows = [Consumer.objects.create(name=name, broker=broker, destination="/queue/q", handler="h") for name in names]
    with workers_that_count([row.pk for row in rows]) as errors:
        until(lambda: ThroughputBucket.objects.filter(consumer=rows[-1]).exists(), what="all are counted")
        for row in rows:
            response = client.post(reverse("admin:stompconsole_consumer_delete", args=[row.pk]), {"post": "yes"})
            assert response.status_code == 302
    assert errors == []
    assert not Consumer.objects.exists()
    assert not ThroughputBucket.objects.exists()

"""What happened just before a group began."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from unittest import mock

import pytest
from django.utils import timezone

from stompconsole import audit
from stompconsole.audit import Action
from stompconsole.deadletters import beginnings, grouping
from stompconsole.models import Consumer, FailureGroup
from tests.deadletters.making import make_consumer, make_dead_letters

pytestmark = pytest.mark.django_db


@pytest.fixture
def consumer() -> Consumer:
    return make_consumer(name="orders")


def group_of(consumer: Consumer | None) -> FailureGroup:
    make_dead_letters(consumer, 1)
    grouping.group_the_rest()
    return FailureGroup.objects.select_related("consumer__broker").get()


def note(action: str, target: str, at: datetime, **fields: Any) -> None:
    # The clock is put back: an entry that is there can't be changed.
    with mock.patch("django.utils.timezone.now", return_value=at):
        audit.record(action, target, **{"actor": None, "actor_name": "admin", **fields})


def told(group: FailureGroup) -> list[tuple[str, str, int]]:
    return [(each.words, each.detail, round(each.before_s)) for each in beginnings.before(group)]


def test_edits_switches_and_resumes_are_told_the_nearest_first(consumer: Consumer) -> None:
    group = group_of(consumer)
    first = group.first_failed_at
    broker = f"broker {consumer.broker.name}"
    note(
        Action.CONSUMER_CHANGED,
        "consumer orders",
        first - timedelta(minutes=3),
        consumer=consumer,
        detail="handler: orders.a -> orders.b\nprefetch: 1 -> 2",
    )
    note(Action.BROKER_SWITCHED, broker, first - timedelta(minutes=2), detail="b:1 in place of a:1, because refused")
    note(Action.CONSUMER_RESUMED, "consumer orders", first - timedelta(minutes=5), consumer=consumer)
    note(Action.BROKER_CHANGED, broker, first - timedelta(minutes=6), detail="password: changed")
    assert told(group) == [
        (f"{broker} was switched to another endpoint", "b:1 in place of a:1, because refused", 120),
        (
            "the definition of orders was edited by admin",
            "handler changed from orders.a to orders.b, prefetch changed from 1 to 2",
            180,
        ),
        ("orders was resumed by admin", "", 300),
        (f"the definition of {broker} was edited by admin", "password changed", 360),
    ]


def test_what_concerns_others_what_came_later_and_what_is_long_ago_is_not_told(consumer: Consumer) -> None:
    group = group_of(consumer)
    first = group.first_failed_at
    other = make_consumer(name="other")
    note(Action.CONSUMER_CHANGED, "consumer other", first - timedelta(minutes=1), consumer=other)
    note(Action.BROKER_SWITCHED, f"broker {other.broker.name}", first - timedelta(minutes=1))
    note(Action.CONSUMER_CHANGED, "consumer orders", first + timedelta(seconds=1), consumer=consumer)
    note(Action.CONSUMER_CHANGED, "consumer orders", first - timedelta(minutes=61), consumer=consumer)
    note(Action.REPLAY_DONE, "replay 1", first - timedelta(minutes=1), consumer=consumer)
    assert told(group) == []


def started(name: str, at: datetime, release: str = "", ours: str = "1.0") -> None:
    note(Action.WORKER_STARTED, f"worker {name}", at, data={"release": release, "stompconsole": ours})


def test_a_new_version_is_told_by_itself_also_when_the_one_before_is_long_ago(consumer: Consumer) -> None:
    group = group_of(consumer)
    first = group.first_failed_at
    started("web:1", first - timedelta(days=9), "4.1")
    started("web:2", first - timedelta(seconds=40), "4.2")
    started("web:3", first - timedelta(seconds=30), "4.2")
    note(Action.WORKER_STOPPED, "worker web:1", first - timedelta(seconds=50))
    assert told(group) == [
        ("worker web:3 started", "version 4.2", 30),
        ("the version of the workers changed from 4.1 to 4.2", "worker web:2 started", 40),
        ("worker web:1 stopped", "", 50),
    ]


def test_workers_that_start_as_they_were_are_told_together(consumer: Consumer) -> None:
    group = group_of(consumer)
    first = group.first_failed_at
    for number in range(5):
        started(f"web:{number}", first - timedelta(minutes=10 - number), "4.1")
    assert told(group) == [("5 workers started", "web:4, web:3, web:2 and 2 more; version 4.1", 360)]


def test_without_a_release_the_version_of_stompconsole_counts_and_what_was_never_told_is_no_change(
    consumer: Consumer,
) -> None:
    group = group_of(consumer)
    first = group.first_failed_at
    note(Action.WORKER_STARTED, "worker old:1", first - timedelta(minutes=30))
    started("web:1", first - timedelta(minutes=20), ours="1.0")
    started("web:2", first - timedelta(minutes=10), ours="1.1")
    assert told(group) == [
        ("the version of the workers changed from stompconsole 1.0 to stompconsole 1.1", "worker web:2 started", 600),
        ("2 workers started", "web:1, old:1; version stompconsole 1.0", 1200),
    ]


def test_a_group_whose_consumer_is_gone_still_knows_of_the_workers() -> None:
    group = group_of(None)
    started("web:1", group.first_failed_at - timedelta(minutes=1))
    assert [words for words, _, _ in told(group)] == ["worker web:1 started"]


def test_a_busy_hour_is_told_in_a_few_lines(consumer: Consumer) -> None:
    group = group_of(consumer)
    for number in range(150):
        at = group.first_failed_at - timedelta(seconds=number)
        note(Action.CONSUMER_CHANGED, "consumer orders", at, consumer=consumer, detail=f"prefetch: 1 -> {number}")
    assert len(told(group)) == beginnings.MOST_TOLD
    assert timezone.now() > group.first_failed_at

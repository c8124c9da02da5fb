"""Failure groups and tallies: made at capture, right at every moment, made up for what was captured before."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone

from stompconsole.deadletters import grouping, retention, selection, tallies
from stompconsole.deadletters.selection import Filters
from stompconsole.models import DeadLetter, DeadLetterState, FailureGroup, GroupHour, LetterTally
from tests.deadletters.making import Captures, died, make_consumer, make_dead_letters, tallied

pytestmark = pytest.mark.django_db(transaction=True)

EARLY = datetime(2026, 1, 1, 12, 5, tzinfo=UTC)


def states_of(group: FailureGroup) -> dict[str, int]:
    sums: Counter[str] = Counter()
    for state, count in group.tallies.values_list("state", "count"):
        sums[state] += count
    return {state: count for state, count in sums.items() if count}


def test_failures_of_one_fingerprint_share_a_group() -> None:
    consumer = make_consumer()
    messages = [(died(consumer=consumer.name, error_message=f"order {number}"), b"{}") for number in range(5)]
    Captures(consumer).give(*messages)
    group = FailureGroup.objects.get()
    assert (group.consumer, group.consumer_name) == (consumer, consumer.name)
    assert (group.error_type, group.message) == ("builtins.KeyError", "order …")
    assert group.handler == "orders.handlers.price_of"
    assert states_of(group) == {"dead": 5}


def test_two_errors_of_one_consumer_are_two_groups() -> None:
    consumer = make_consumer()
    Captures(consumer).give((died(error_type="KeyError"), b"1"), (died(error_type="TimeoutError"), b"2"))
    assert sorted(FailureGroup.objects.values_list("error_type", flat=True)) == ["KeyError", "TimeoutError"]


def test_a_group_knows_its_first_and_last_failure() -> None:
    consumer = make_consumer()
    captures = Captures(consumer)
    captures.give((died(failed_at=EARLY + timedelta(hours=2)), b"1"))
    captures.give((died(failed_at=EARLY + timedelta(hours=1)), b"2"), (died(failed_at=EARLY + timedelta(hours=3)), b""))
    group = FailureGroup.objects.get()
    assert group.last_failed_at == EARLY + timedelta(hours=3)


def test_deaths_are_counted_by_the_hour_for_the_sparkline() -> None:
    captures = Captures(make_consumer())
    captures.give((died(failed_at=EARLY), b"1"), (died(failed_at=EARLY + timedelta(minutes=10)), b"2"))
    captures.give((died(failed_at=EARLY + timedelta(hours=1)), b"3"))
    hours = dict(GroupHour.objects.values_list("hour", "count"))
    start = EARLY.replace(minute=0)
    assert hours == {start: 2, start + timedelta(hours=1): 1}


def test_the_same_message_delivered_twice_is_counted_once() -> None:
    captures = Captures(make_consumer())
    headers = died()
    captures.give((headers, b"1"))
    captures.give((headers, b"1"))
    assert sum(tallied().values()) == 1
    assert sum(GroupHour.objects.values_list("count", flat=True)) == 1


def test_a_message_that_dies_of_something_else_moves_to_the_other_group() -> None:
    consumer = make_consumer()
    captures = Captures(consumer)
    first = died(error_type="KeyError")
    captures.give((first, b"1"))
    again = died(error_type="TimeoutError", dead_letter_id=first["stompconsole-dead-letter-id"])
    DeadLetter.objects.update(state=DeadLetterState.PROCESSED)
    tallies.recount()
    captures.give((again, b"1"))
    counts = {group.error_type: states_of(group) for group in FailureGroup.objects.all()}
    assert counts == {"KeyError": {}, "TimeoutError": {"dead": 1}}


def test_discarding_undoing_and_purging_are_counted() -> None:
    Captures(make_consumer()).give(*((died(), str(number).encode()) for number in range(3)))
    group = FailureGroup.objects.get()
    preview = selection.preview(Filters())
    discarded = selection.discard_matching(Filters(), as_of=preview.as_of, expected_count=3, actor=None)
    assert states_of(group) == {"discarded": 3}
    selection.undo_discard_of(discarded.at, actor=None)
    assert states_of(group) == {"dead": 3}
    selection.discard_selected(DeadLetter.objects.values_list("pk", flat=True)[:1], actor=None)
    retention.purge(timezone.now() + timedelta(days=365))
    assert states_of(group) == {"dead": 2}


def test_dead_letters_of_an_older_version_get_their_group_and_are_counted() -> None:
    consumer = make_consumer()
    make_dead_letters(consumer, 3, failed_at=EARLY)
    make_dead_letters(None, 1, error_type="TimeoutError", state=DeadLetterState.DISCARDED)
    assert tallied() == {}
    assert grouping.group_the_rest() == 4
    assert grouping.group_the_rest() == 0
    assert set(DeadLetter.objects.filter(consumer=consumer).values_list("day", flat=True)) == {EARLY.date()}
    counts = {group.error_type: states_of(group) for group in FailureGroup.objects.all()}
    assert counts == {"builtins.KeyError": {"dead": 3}, "TimeoutError": {"discarded": 1}}


def test_counting_anew_gives_the_same() -> None:
    captures = Captures(make_consumer())
    for number in range(4):
        captures.give((died(error_message="abcd"[number]), b""))
    before = tallied()
    tallies.recount()
    assert tallied() == before


def test_folding_leaves_one_row_for_each_count_and_changes_none() -> None:
    captures = Captures(make_consumer())
    for _ in range(5):
        captures.give((died(), b""))
    before = tallied()
    assert tallies.fold() == 8, "of 5 tallies and 5 hours one is left each"
    assert tallied() == before
    assert LetterTally.objects.count() == GroupHour.objects.count() == 1
    assert tallies.fold() == 0

"""Counting in memory."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stompconsole.metrics.tally import NO_LATENCY, NOTHING, Counts, Tally, merged
from stompconsole.models.throughput import LATENCY_BOUNDS_S


def test_what_was_counted_is_taken_once() -> None:
    tally = Tally()
    tally.received(3)
    tally.handled(acked=1, retried=1, dead_lettered=1, seconds=[0.5, 0.25, 0.25])
    tally.replayed("letter", "7")
    counts = tally.take()
    assert (counts.received, counts.acked, counts.retried, counts.dead_lettered) == (3, 1, 1, 1)
    assert counts.handler_seconds == 1.0
    assert counts.replayed == (("letter", "7"),)
    assert tally.take() == NOTHING


def test_a_handler_time_is_counted_under_the_first_bound_it_does_not_exceed() -> None:
    tally = Tally()
    tally.handled(acked=4, retried=0, dead_lettered=0, seconds=[0.0, 0.001, 0.0011, 61.0])
    latency = tally.take().latency
    assert len(latency) == len(LATENCY_BOUNDS_S) + 1
    assert (latency[0], latency[1], latency[-1]) == (2, 1, 1)
    assert sum(latency) == 4


def test_nothing_is_lost_between_threads_that_count_and_one_that_takes() -> None:
    tally = Tally()
    threads = [threading.Thread(target=_count, args=(tally, 500)) for _ in range(8)]
    for thread in threads:
        thread.start()
    taken = NOTHING
    while any(thread.is_alive() for thread in threads):
        taken += tally.take()
    taken += tally.take()
    assert (taken.received, taken.acked, sum(taken.latency), len(taken.replayed)) == (8_000, 8_000, 8_000, 4_000)


def _count(tally: Tally, times: int) -> None:
    for _ in range(times):
        tally.received(2)
        tally.handled(acked=2, retried=0, dead_lettered=0, seconds=[0.003, 100.0])
        tally.replayed("letter", "1")


numbers = st.integers(0, 1000)
counts = st.builds(
    Counts,
    received=numbers,
    acked=numbers,
    retried=numbers,
    dead_lettered=numbers,
    handler_seconds=numbers.map(float),
    latency=st.lists(numbers, min_size=len(NO_LATENCY), max_size=len(NO_LATENCY)).map(tuple),
)


@pytest.mark.long
@given(counts, counts, counts)
def test_adding_up_is_the_same_in_any_order(one: Counts, two: Counts, three: Counts) -> None:
    assert (one + two) + three == one + (two + three)
    assert one + two == two + one
    assert one + NOTHING == one


def test_a_histogram_of_another_version_is_added_up_all_the_same() -> None:
    assert merged([1, 2], [10])[:3] == (11, 2, 0)
    assert merged([], []) == NO_LATENCY
    assert sum(merged([1] * 40, [1] * 3)) == 43

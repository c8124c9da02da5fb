"""Percentiles from a histogram."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stompconsole.metrics.quantiles import SLOTS, added, quantile

histograms = st.lists(st.integers(0, 1_000), min_size=SLOTS, max_size=SLOTS)


def only(slot: int, count: int = 100) -> list[int]:
    return [count if index == slot else 0 for index in range(SLOTS)]


def test_nothing_counted_has_no_quantile() -> None:
    assert quantile([0] * SLOTS, 0.5) is None


def test_a_quantile_lies_between_the_bounds_of_its_slot() -> None:
    found = quantile(only(3), 0.5)
    assert found is not None
    assert found.seconds == 0.0075
    assert not found.beyond


def test_beyond_the_last_bound_nobody_knows_how_much() -> None:
    found = quantile(only(SLOTS - 1), 0.5)
    assert found is not None
    assert (found.seconds, found.beyond) == (60.0, True)


@given(histograms, st.floats(0, 1), st.floats(0, 1))
def test_a_larger_share_never_takes_less_time(histogram: list[int], one: float, other: float) -> None:
    low, high = quantile(histogram, min(one, other)), quantile(histogram, max(one, other))
    assert (low is None) == (high is None) == (sum(histogram) == 0)
    if low is not None and high is not None:
        assert low.seconds <= high.seconds


@pytest.mark.long
@given(st.lists(histograms))
def test_histograms_add_up_slot_by_slot(many: list[list[int]]) -> None:
    assert added(many) == [sum(column) for column in zip(*many, strict=True)] or not many


def test_a_histogram_of_another_version_is_left_out() -> None:
    assert added([[1, 2], only(0, 3), []]) == only(0, 3)

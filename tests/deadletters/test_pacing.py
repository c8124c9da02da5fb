"""The pace of a replay."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stompconsole.deadletters.pacing import Pace


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_without_a_rate_everything_may_go() -> None:
    pace = Pace()
    assert pace.allowed(200) == 200
    assert pace.wait_s() == 0


def test_the_first_may_go_at_once_and_the_next_when_its_time_has_come() -> None:
    clock = Clock()
    pace = Pace(0.5, clock)
    assert pace.allowed(200) == 1
    pace.spend(1)
    assert pace.allowed(200) == 0
    assert pace.wait_s() == pytest.approx(2.0)
    clock.now += 2.0
    assert pace.allowed(200) == 1


def test_a_long_silence_saves_up_one_second_and_no_more() -> None:
    clock = Clock()
    pace = Pace(50, clock)
    clock.now += 3_600
    assert pace.allowed(1_000) == 50


def test_a_changed_rate_holds_at_once() -> None:
    clock = Clock()
    pace = Pace(1_000, clock)
    clock.now += 10
    pace.change(2)
    assert pace.allowed(1_000) == 2
    pace.change(None)
    assert pace.allowed(1_000) == 1_000


@given(st.floats(0.1, 5_000), st.lists(st.floats(0, 3), min_size=1, max_size=60))
def test_over_any_time_no_more_goes_than_the_rate_and_one_second_allow(rate: float, steps: list[float]) -> None:
    clock = Clock()
    pace = Pace(rate, clock)
    began, sent = clock.now, 0
    for step in steps:
        clock.now += step
        count = pace.allowed(200)
        pace.spend(count)
        sent += count
        assert sent <= max(1.0, rate) + (clock.now - began) * rate + 1e-6

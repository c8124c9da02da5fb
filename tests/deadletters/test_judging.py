"""Canary and stop rule, as pure values."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stompconsole.deadletters.judging import ENOUGH, Course, Outcomes, Rules, judge

CANARY = Rules(canary=(1, 5, 25))


def course(rules: Rules, step: int = 0, **outcomes: int) -> Course:
    found = Outcomes(**outcomes)
    return judge(rules, step, found, found)


def test_without_rules_nothing_limits_it() -> None:
    assert course(Rules(), failed_again=100) == Course(step=0)
    assert not Rules().judges


def test_a_canary_sends_its_first_step_and_waits_for_the_outcome() -> None:
    assert course(CANARY).may_send == 1
    waiting = course(CANARY, unknown=1)
    assert (waiting.may_send, waiting.waits) == (0, "step 1 of 4: waiting for the outcome of 1 of 1 messages")


def test_each_step_that_comes_out_well_allows_the_next() -> None:
    assert course(CANARY, processed=1) == Course(step=1, may_send=5)
    assert course(CANARY, step=1, processed=3, unknown=2) == Course(step=1, may_send=1)
    assert course(CANARY, step=1, processed=6) == Course(step=2, may_send=25)
    assert course(CANARY, step=2, processed=31) == Course(step=3)


def test_one_failure_in_a_canary_stops_it_unless_a_share_is_allowed() -> None:
    assert course(CANARY, step=1, processed=2, failed_again=1, unknown=3).stop
    tolerant = Rules(canary=(10,), stop_above_percent=20)
    assert not course(tolerant, processed=9, failed_again=1).stop
    assert course(tolerant, processed=7, failed_again=3).stop == "stopped: 3 of 10 failed again, more than 20 %"


def test_a_share_says_something_only_once_enough_is_known() -> None:
    rules = Rules(stop_above_percent=10)
    assert not course(rules, failed_again=1, unknown=500).stop
    assert course(rules, failed_again=3, processed=ENOUGH - 3, unknown=500).stop
    assert course(rules, failed_again=1, processed=1).stop, "and when no outcome is still to come"


def test_the_same_failure_again_stops_it_at_once() -> None:
    rules = Rules(stop_on_same=True)
    assert course(rules, failed_again=1, same=1, processed=1_000, unknown=9).stop == "stopped: 1 failed again as before"
    assert not course(rules, failed_again=1, processed=1_000).stop


def test_what_failed_before_it_was_resumed_stops_it_no_more() -> None:
    whole = Outcomes(processed=10, failed_again=10)
    assert judge(Rules(stop_above_percent=10), 0, whole, whole).stop
    assert not judge(Rules(stop_above_percent=10), 0, whole, Outcomes()).stop


@given(
    st.lists(st.integers(1, 50), max_size=5),
    st.integers(0, 200),
    st.integers(0, 200),
)
def test_a_canary_never_has_more_out_than_its_step(canary: list[int], processed: int, unknown: int) -> None:
    found = course(Rules(canary=canary), processed=processed, unknown=unknown)
    assert 0 <= found.step <= len(canary)
    if found.may_send:
        assert processed + unknown + found.may_send == sum(canary[: found.step + 1])
    if found.may_send is None:
        assert processed >= sum(canary)


@pytest.mark.parametrize("step", range(4))
def test_a_step_that_was_passed_is_not_judged_again(step: int) -> None:
    assert course(CANARY, step=step, processed=31).may_send is None

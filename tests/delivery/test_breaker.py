"""The breaker by itself: what opens it, when it tries, what closes it, whatever happens in between."""

from __future__ import annotations

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from stompconsole.delivery.breaker import (
    LEAST,
    LONGEST_BACK_OFF_S,
    WINDOW,
    Breaker,
    Outcome,
    Phase,
    in_words,
    outcome_of,
    why_never,
)
from stompconsole.delivery.disposition import ACK, Disposition, Failure, failure_of
from stompconsole.delivery.retry import decide
from stompconsole.delivery.specs import AckMode, BreakerPolicy, Quoting, RetryPolicy
from stompconsole.errors import Reject, Retry

WRONG = "ValueError: wrong"


class Clock:
    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


class Model(RuleBasedStateMachine):
    """The breaker beside a list of what it was told."""

    @initialize(in_a_row=st.integers(0, 8), percent=st.integers(0, 99), probe_s=st.integers(1, 600))
    def begin(self, in_a_row: int, percent: int, probe_s: int) -> None:
        self.clock = Clock()
        self.policy = BreakerPolicy(in_a_row=in_a_row, percent=percent, probe_s=probe_s)
        self.breaker = Breaker(self.policy, self.clock)
        self.failed: list[bool] = []
        self.opened_at = 0.0
        self.waits_s = float(probe_s)

    @rule(failed=st.booleans(), times=st.integers(1, 12))
    def messages_while_closed(self, failed: bool, times: int) -> None:
        for _ in range(times):
            if self.breaker.phase is not Phase.CLOSED:
                return
            self.failed.append(failed)
            self.breaker.failed(WRONG) if failed else self.breaker.passed()
            assert (self.breaker.phase is Phase.OPEN) == (failed and self._should_open())
            if self.breaker.phase is Phase.OPEN:
                self.opened_at, self.waits_s = self.clock.now_s, self.policy.probe_s

    def _should_open(self) -> bool:
        row, percent = self.policy.in_a_row, self.policy.percent
        lately = self.failed[-WINDOW:]
        too_many = percent and len(lately) >= LEAST and sum(lately) / len(lately) > percent / 100
        return bool(too_many or (row and len(self.failed) >= row and all(self.failed[-row:])))

    @precondition(lambda self: self.breaker.phase is Phase.OPEN)
    @rule(failed=st.booleans())
    def a_straggler_while_open_says_nothing(self, failed: bool) -> None:
        before = self.breaker.due_in_s, self.breaker.why
        self.breaker.failed("late") if failed else self.breaker.passed()
        assert (self.breaker.phase, self.breaker.due_in_s, self.breaker.why) == (Phase.OPEN, *before)

    @rule(seconds=st.integers(0, 1000))
    def time_passes(self, seconds: int) -> None:
        self.clock.now_s += seconds
        self.breaker.half_open()
        if self.breaker.phase is Phase.HALF_OPEN:
            assert self.clock.now_s >= self.opened_at + self.waits_s

    @precondition(lambda self: self.breaker.phase is Phase.OPEN)
    @rule()
    def an_operator_is_in_a_hurry(self) -> None:
        self.breaker.hurry()
        self.breaker.half_open()
        assert self.breaker.phase is Phase.HALF_OPEN
        self.opened_at = self.clock.now_s - self.waits_s

    @precondition(lambda self: self.breaker.phase is Phase.HALF_OPEN)
    @rule()
    def what_was_tried_passes(self) -> None:
        self.breaker.passed()
        assert self.breaker.phase is Phase.CLOSED
        self.failed = []

    @precondition(lambda self: self.breaker.phase is Phase.HALF_OPEN)
    @rule()
    def what_was_tried_fails(self) -> None:
        self.breaker.failed(WRONG)
        assert self.breaker.phase is Phase.OPEN
        self.opened_at, self.waits_s = self.clock.now_s, min(self.waits_s * 2, LONGEST_BACK_OFF_S)
        assert self.breaker.due_in_s == pytest.approx(self.waits_s)

    @invariant()
    def it_says_why_it_is_not_closed_and_never_waits_longer_than_ten_minutes(self) -> None:
        assert bool(self.breaker.why) == (self.breaker.phase is not Phase.CLOSED)
        assert 0 <= self.breaker.due_in_s <= LONGEST_BACK_OFF_S
        assert self.policy.on or self.breaker.phase is Phase.CLOSED


TestModel = Model.TestCase


def test_the_reason_names_the_failures_and_what_was_tried_since() -> None:
    clock = Clock()
    breaker = Breaker(BreakerPolicy(in_a_row=2, probe_s=10.0), clock)
    breaker.failed(WRONG)
    breaker.failed("ConnectionError: refused")
    assert breaker.why == "2 failures in a row, last ConnectionError: refused"
    clock.now_s += 10
    breaker.half_open()
    breaker.failed("TimeoutError: late")
    assert breaker.why == "2 failures in a row; 1 tried since, failed as well, last TimeoutError: late"
    assert breaker.due_in_s == 20


def test_a_ratio_names_how_many_of_how_many() -> None:
    breaker = Breaker(BreakerPolicy(percent=50))
    for number in range(11):
        breaker.passed() if number % 2 else breaker.failed(WRONG)
    assert breaker.why == f"6 of the last 11 messages failed, last {WRONG}"


@pytest.mark.parametrize(
    ("disposition", "outcome"),
    [
        (ACK, Outcome.PASSED),
        (decide(ValueError("no"), 1, RetryPolicy(max_attempts=1)), Outcome.FAILED),
        (decide(ValueError("no"), 1, RetryPolicy(max_attempts=2)), Outcome.FAILED),
        (decide(Retry(), 1, RetryPolicy()), Outcome.FAILED),
        (decide(Reject("not for us"), 1, RetryPolicy()), Outcome.SILENT),
    ],
)
def test_what_a_handler_rejects_says_nothing_and_every_other_exception_is_a_failure(
    disposition: Disposition, outcome: Outcome
) -> None:
    assert outcome_of(disposition) is outcome


def test_a_failure_reads_as_one_short_line() -> None:
    assert in_words(failure_of(ValueError("a\n  b")), Quoting.MESSAGE) == "ValueError: a b"
    assert len(in_words(Failure(error_type="E", message="x" * 1000), Quoting.MESSAGE)) == 200


def test_where_redaction_has_rules_it_reads_as_its_type_alone() -> None:
    assert in_words(failure_of(ValueError("pin hunter2")), Quoting.TYPE) == "ValueError"


def test_a_subscription_that_can_give_nothing_back_can_have_none() -> None:
    assert "auto" in why_never(AckMode.AUTO, "")
    assert why_never(AckMode.CLIENT, "it is lost") == "it is lost"
    assert why_never(AckMode.CLIENT_INDIVIDUAL, "") == ""

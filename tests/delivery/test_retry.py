"""When a failed message is tried again, and when it is given up on."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from stompconsole.delivery.disposition import DeadLetter, TryAgain
from stompconsole.delivery.retry import MAX_ASKED_RETRIES, decide, delay_s
from stompconsole.delivery.specs import RetryPolicy
from stompconsole.errors import Reject, Retry

THREE = RetryPolicy(max_attempts=3, first_delay_s=1.0, factor=2.0, max_delay_s=60.0)


def test_a_failure_is_tried_again_until_its_attempts_are_used_up() -> None:
    outcomes = [type(decide(KeyError("sku"), attempts, THREE)) for attempts in (1, 2, 3)]
    assert outcomes == [TryAgain, TryAgain, DeadLetter]


def test_by_default_the_first_failure_is_the_last() -> None:
    assert isinstance(decide(KeyError("sku"), 1, RetryPolicy()), DeadLetter)


def test_reject_is_a_dead_letter_however_many_attempts_are_left() -> None:
    outcome = decide(Reject("no such customer"), 1, THREE)
    assert isinstance(outcome, DeadLetter)
    assert (outcome.failure.error_type, outcome.failure.message) == ("Reject", "no such customer")


def test_a_handler_that_asks_for_a_retry_gets_the_delay_it_asked_for() -> None:
    outcome = decide(Retry(after=timedelta(seconds=7)), 1, RetryPolicy())
    assert isinstance(outcome, TryAgain)
    assert outcome.delay_s == 7.0


def test_a_handler_that_asks_for_ever_is_stopped() -> None:
    assert isinstance(decide(Retry(after=0), MAX_ASKED_RETRIES, RetryPolicy()), DeadLetter)


def test_a_failure_tells_type_message_and_traceback() -> None:
    try:
        {}["sku"]  # type: ignore[index]
    except KeyError as error:
        outcome = decide(error, 1, RetryPolicy())
    assert isinstance(outcome, DeadLetter)
    assert outcome.failure.error_type == "KeyError"
    assert outcome.failure.message == "'sku'"
    assert "test_retry.py" in outcome.failure.traceback


@given(
    attempts=st.integers(1, 10_000),
    first=st.floats(0, 1e4),
    factor=st.floats(1, 10),
    longest=st.floats(0, 1e5),
    point=st.floats(0, 1),
)
def test_delays_never_exceed_the_longest(
    attempts: int, first: float, factor: float, longest: float, point: float
) -> None:
    policy = RetryPolicy(max_attempts=2, first_delay_s=first, factor=factor, max_delay_s=longest)
    assert 0 <= delay_s(attempts, policy, lambda low, high: low + (high - low) * point) <= longest

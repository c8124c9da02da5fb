"""When a failed message is tried again, and when it is given up on."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from stompconsole.delivery.disposition import DeadLetter, TryAgain, TryLater
from stompconsole.delivery.retry import LONGEST_PARKED_S, MAX_ASKED_RETRIES, decide, delay_s
from stompconsole.delivery.specs import LONGEST_HELD_S, Parking, RetryPolicy
from stompconsole.errors import Reject, Retry

STEPS = RetryPolicy(max_attempts=2, first_delay_s=1.0, parking=Parking(above_s=60.0, steps_s=(300.0, 3_600.0)))
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


def test_long_steps_come_after_the_attempts_in_the_worker_and_then_it_is_dead() -> None:
    first, *later = [
        decide(KeyError("sku"), attempts, STEPS, step=step) for attempts, step in enumerate((0, 0, 1, 2), 1)
    ]
    assert isinstance(first, TryAgain)
    assert [(each.delay_s, each.step) for each in later if isinstance(each, TryLater)] == [(300.0, 1), (3_600.0, 2)]
    assert isinstance(later[-1], DeadLetter)


def test_a_long_wait_is_parked_and_uses_no_step() -> None:
    outcome = decide(Retry(after=timedelta(hours=2)), 7, STEPS, step=1)
    assert isinstance(outcome, TryLater)
    assert (outcome.delay_s, outcome.step) == (7_200.0, 1)


def test_what_a_worker_can_wait_for_is_not_parked() -> None:
    outcome = decide(Retry(after=60), 1, STEPS)
    assert isinstance(outcome, TryAgain)
    assert outcome.delay_s == 60.0


def test_a_long_back_off_is_parked_as_well() -> None:
    policy = RetryPolicy(max_attempts=9, first_delay_s=600.0, max_delay_s=600.0, parking=Parking())
    outcome = decide(KeyError("sku"), 1, policy, lambda low, high: high)
    assert isinstance(outcome, TryLater)
    assert (outcome.delay_s, outcome.step) == (600.0, 0)


def test_where_nothing_could_bring_it_back_it_waits_in_the_worker_no_longer_than_brokers_bear() -> None:
    outcome = decide(Retry(after=timedelta(hours=6)), 1, RetryPolicy())
    assert isinstance(outcome, TryAgain)
    assert outcome.delay_s == LONGEST_HELD_S


def test_a_wait_beyond_all_sense_has_an_end() -> None:
    outcome = decide(Retry(after=float("inf")), 1, STEPS)
    assert isinstance(outcome, TryLater)
    assert outcome.delay_s == LONGEST_PARKED_S


def test_reject_is_a_dead_letter_though_there_are_steps() -> None:
    assert isinstance(decide(Reject("no such customer"), 1, STEPS), DeadLetter)


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

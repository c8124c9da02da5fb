"""Whether a failed message is tried again, when, and where it waits until then.

Short waits are in the worker, long ones are parked where the policy says so. Attempts and steps are those of the
message over all its waits, wherever it was.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable

from stompconsole.delivery.disposition import DeadLetter, Disposition, Failure, TryAgain, TryLater, failure_of
from stompconsole.delivery.specs import LONGEST_HELD_S, RetryPolicy
from stompconsole.errors import Reject, Retry

MAX_ASKED_RETRIES = 100
"""How often a message may have been tried when a handler asks for another time; after that it is dead-lettered."""

LONGEST_PARKED_S = 366 * 86_400.0


def decide(
    error: BaseException,
    attempts: int,
    policy: RetryPolicy,
    uniform: Callable[[float, float], float] = random.uniform,
    *,
    step: int = 0,
) -> Disposition:
    """What follows from a handler's exception. ``attempts`` counts the one that has just failed, ``step`` the long
    steps that are used."""
    failure = failure_of(error)
    match error:
        case Reject():
            return DeadLetter(failure=failure, of_message=True)
        case Retry() if attempts < MAX_ASKED_RETRIES:
            return _wait(_asked(error.after, delay_s(attempts, policy, uniform)), step, failure, policy)
        case _ if attempts < policy.max_attempts:
            return _wait(delay_s(attempts, policy, uniform), step, failure, policy)
        case _:
            return _next_step(step, failure, policy)


def _wait(seconds: float, step: int, failure: Failure, policy: RetryPolicy) -> Disposition:
    if policy.parking is not None and seconds > policy.parking.above_s:
        return TryLater(delay_s=min(seconds, LONGEST_PARKED_S), step=step, failure=failure)
    return TryAgain(delay_s=min(seconds, LONGEST_HELD_S), failure=failure)


def _next_step(step: int, failure: Failure, policy: RetryPolicy) -> Disposition:
    steps_s = policy.parking.steps_s if policy.parking is not None else ()
    if step >= len(steps_s):
        return DeadLetter(failure=failure)
    return TryLater(delay_s=min(steps_s[step], LONGEST_PARKED_S), step=step + 1, failure=failure)


def delay_s(attempts: int, policy: RetryPolicy, uniform: Callable[[float, float], float] = random.uniform) -> float:
    """Seconds to wait after ``attempts`` failures: exponential, capped, taken from the upper half."""
    try:
        grown = policy.first_delay_s * policy.factor ** (attempts - 1)
    except OverflowError:  # 2.0 ** 2000 does not fit a float
        grown = policy.max_delay_s
    full = min(policy.max_delay_s, grown)
    return uniform(full / 2, full)


def _asked(after: object, otherwise: float) -> float:
    # The team's own value: one that is no number must not keep the message from being settled.
    if not isinstance(after, int | float) or math.isnan(after):
        return otherwise
    return max(0.0, after)

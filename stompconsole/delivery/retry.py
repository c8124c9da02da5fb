"""Whether a failed message is tried again, and when."""

from __future__ import annotations

import random
from collections.abc import Callable

from stompconsole.delivery.disposition import DeadLetter, Disposition, TryAgain, failure_of
from stompconsole.delivery.specs import RetryPolicy
from stompconsole.errors import Reject, Retry

MAX_ASKED_RETRIES = 100
"""How often a handler may ask for a retry of one message before it is dead-lettered all the same."""


def decide(
    error: BaseException, attempts: int, policy: RetryPolicy, uniform: Callable[[float, float], float] = random.uniform
) -> Disposition:
    """What follows from a handler's exception. ``attempts`` counts the one that has just failed."""
    failure = failure_of(error)
    match error:
        case Reject():
            return DeadLetter(failure=failure)
        case Retry() if attempts < MAX_ASKED_RETRIES:
            asked = error.after if error.after is not None else delay_s(attempts, policy, uniform)
            return TryAgain(delay_s=max(0.0, asked), failure=failure)
        case _ if attempts < policy.max_attempts:
            return TryAgain(delay_s=delay_s(attempts, policy, uniform), failure=failure)
        case _:
            return DeadLetter(failure=failure)


def delay_s(attempts: int, policy: RetryPolicy, uniform: Callable[[float, float], float] = random.uniform) -> float:
    """Seconds to wait after ``attempts`` failures: exponential, capped, taken from the upper half."""
    # The exponent is bounded: 2.0 ** 2000 does not fit a float.
    full = min(policy.max_delay_s, policy.first_delay_s * policy.factor ** min(attempts - 1, 64))
    return uniform(full / 2, full)

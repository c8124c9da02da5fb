"""Whether a failed message is tried again, and when."""

from __future__ import annotations

import math
import random
from collections.abc import Callable

from stompconsole.delivery.disposition import DeadLetter, Disposition, TryAgain, failure_of
from stompconsole.delivery.specs import RetryPolicy
from stompconsole.errors import Reject, Retry

MAX_ASKED_RETRIES = 100
"""How often a handler may ask for a retry of one message before it is dead-lettered all the same."""

LONGEST_DELAY_S = 86_400.0
"""Whatever is asked for: the message is held un-acked for as long."""


def decide(
    error: BaseException, attempts: int, policy: RetryPolicy, uniform: Callable[[float, float], float] = random.uniform
) -> Disposition:
    """What follows from a handler's exception. ``attempts`` counts the one that has just failed."""
    failure = failure_of(error)
    match error:
        case Reject():
            return DeadLetter(failure=failure, of_message=True)
        case Retry() if attempts < MAX_ASKED_RETRIES:
            return TryAgain(delay_s=_asked(error.after, delay_s(attempts, policy, uniform)), failure=failure)
        case _ if attempts < policy.max_attempts:
            return TryAgain(delay_s=delay_s(attempts, policy, uniform), failure=failure)
        case _:
            return DeadLetter(failure=failure)


def delay_s(attempts: int, policy: RetryPolicy, uniform: Callable[[float, float], float] = random.uniform) -> float:
    """Seconds to wait after ``attempts`` failures: exponential, capped, taken from the upper half."""
    try:
        grown = policy.first_delay_s * policy.factor ** (attempts - 1)
    except OverflowError:  # 2.0 ** 2000 does not fit a float
        grown = policy.max_delay_s
    full = min(policy.max_delay_s, grown, LONGEST_DELAY_S)
    return uniform(full / 2, full)


def _asked(after: object, otherwise: float) -> float:
    # The team's own value: one that is no number must not keep the message from being settled.
    if not isinstance(after, int | float) or math.isnan(after):
        return otherwise
    return min(max(0.0, after), LONGEST_DELAY_S)

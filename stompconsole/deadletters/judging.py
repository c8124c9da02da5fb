"""Whether a replay may go on: its canary step by step, and its stop rule. Pure.

Outcomes come after their SENDs, so a rule stops what is not sent yet. That is why the first steps wait.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

ENOUGH = 20
"""Outcomes from which on a share says something, outside the steps of a canary."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcomes:
    """How far a replay is: ``unknown`` are sent and not heard of yet; ``same`` failed again as they had before."""

    unknown: int = 0
    processed: int = 0
    failed_again: int = 0
    same: int = 0

    @property
    def known(self) -> int:
        return self.processed + self.failed_again

    @property
    def sent(self) -> int:
        return self.known + self.unknown


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """The part of a plan that judges: see ``plans.Plan``."""

    canary: Sequence[int] = ()
    stop_above_percent: float | None = None
    stop_on_same: bool = False

    @property
    def judges(self) -> bool:
        """Whether there is anything to judge by."""
        return bool(self.canary) or self.stop_above_percent is not None or self.stop_on_same


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """How it goes on: ``step`` of the canary, how many more may be sent now (None: no limit), why it waits for
    outcomes, why it must stop (empty: it need not)."""

    step: int
    may_send: int | None = None
    waits: str = ""
    stop: str = ""


def judge(rules: Rules, step: int, all_of_it: Outcomes, lately: Outcomes) -> Course:
    """``step`` counts the canary's steps that came out well. ``lately`` are the outcomes since it was resumed, the
    only ones that can stop it; ``all_of_it`` fill the canary's steps."""
    if reason := _stop(rules, step, all_of_it, lately):
        return Course(step=step, may_send=0, stop=reason)
    if step >= len(rules.canary):
        return Course(step=step)
    until = sum(rules.canary[: step + 1])
    if all_of_it.sent < until:
        return Course(step=step, may_send=until - all_of_it.sent)
    if all_of_it.unknown:
        waits = f"step {step + 1} of {len(rules.canary) + 1}: waiting for the outcome of {all_of_it.unknown}"
        return Course(step=step, may_send=0, waits=f"{waits} of {until} messages")
    return judge(rules, step + 1, all_of_it, lately)


def _stop(rules: Rules, step: int, all_of_it: Outcomes, lately: Outcomes) -> str:
    if rules.stop_on_same and lately.same:
        return f"stopped: {lately.same} failed again as before"
    in_canary = step < len(rules.canary)
    # A canary without a rule is there to find out: then any failure is one too many.
    limit = rules.stop_above_percent if rules.stop_above_percent is not None else (0.0 if in_canary else None)
    if limit is None or not lately.known:
        return ""
    share = 100 * lately.failed_again / lately.known
    telling = lately.known >= ENOUGH or not all_of_it.unknown or limit == 0
    if share <= limit or not telling:
        return ""
    return f"stopped: {lately.failed_again} of {lately.known} failed again, more than {limit:g} %"

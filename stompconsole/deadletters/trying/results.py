"""What a trial has found so far: counts, the failures by their kind, and one sentence that says it all."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from django.db.models import Count, Min

from stompconsole.models import Trial, TrialItem, TrialItemState, TrialState

MOST_KINDS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """Items that fail alike. ``same``: as they had died before."""

    error_type: str
    error_message: str
    count: int
    same: bool
    timed_out: bool

    @property
    def words(self) -> str:
        """``2 still KeyError``; ``1 now ValueError``."""
        if self.timed_out:
            return f"{self.count:,} timed out"
        return f"{self.count:,} {'still' if self.same else 'now'} {self.error_type or 'an error'}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """A trial and its items counted by state; ``kinds`` are its failures, most first."""

    trial: Trial
    passed: int
    failed: int
    timed_out: int
    skipped: int
    waiting: int
    kinds: tuple[Kind, ...]

    @property
    def under_way(self) -> bool:
        """Whether anything of it is still to come."""
        return self.trial.state in {TrialState.WAITING, TrialState.RUNNING}

    @property
    def sentence(self) -> str:
        """``48 of 50 would pass now; 2 still KeyError.``"""
        return f"{'; '.join(self._parts())}."

    def _parts(self) -> Iterator[str]:
        yield f"{self.passed:,} of {self.trial.total:,} would pass now"
        yield from (kind.words for kind in self.kinds)
        if (left := self.failed + self.timed_out - sum(kind.count for kind in self.kinds)) > 0:
            yield f"{left:,} fail otherwise"
        if self.skipped:
            yield f"{self.skipped:,} can't be tried"
        if self.waiting:
            yield f"{self.waiting:,} not tried {'yet' if self.under_way else 'any more'}"


def result_of(trial: Trial) -> Result:
    """Two queries."""
    items = TrialItem.objects.filter(trial=trial).order_by()
    counts: dict[str, int] = dict(items.values_list("state").annotate(count=Count("pk")))
    return Result(
        trial=trial,
        passed=counts.get(TrialItemState.PASSED, 0),
        failed=counts.get(TrialItemState.FAILED, 0),
        timed_out=counts.get(TrialItemState.TIMED_OUT, 0),
        skipped=counts.get(TrialItemState.SKIPPED, 0),
        waiting=counts.get(TrialItemState.WAITING, 0),
        kinds=tuple(_kinds(trial)),
    )


def _kinds(trial: Trial) -> Iterator[Kind]:
    failed = (TrialItemState.FAILED, TrialItemState.TIMED_OUT)
    rows = TrialItem.objects.filter(trial=trial, state__in=failed).order_by()
    alike = rows.values("state", "fingerprint", "same_as_before", "error_type")
    for row in alike.annotate(count=Count("pk"), message=Min("error_message")).order_by("-count", "error_type")[
        :MOST_KINDS
    ]:
        yield Kind(
            error_type=row["error_type"],
            error_message=row["message"],
            count=row["count"],
            same=row["same_as_before"],
            timed_out=row["state"] == TrialItemState.TIMED_OUT,
        )

"""Percentiles from the latency histogram of the buckets."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from stompconsole.models.throughput import LATENCY_BOUNDS_S

SLOTS = len(LATENCY_BOUNDS_S) + 1
"""Slots of a histogram: one for each bound, one for what is beyond the last."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantile:
    """A handler time in seconds; ``beyond`` means that it is more than that, nobody knows by how much."""

    seconds: float
    beyond: bool = False


def added(histograms: Iterable[Sequence[int]]) -> list[int]:
    """Histograms summed slot by slot; ones of another length (an older version wrote them) are left out."""
    total = [0] * SLOTS
    for histogram in histograms:
        if len(histogram) == SLOTS:
            total = [a + b for a, b in zip(total, histogram, strict=True)]
    return total


def quantile(histogram: Sequence[int], share: float) -> Quantile | None:
    """The time that ``share`` (0 to 1) of the messages took at most, straight between the bounds of its slot.

    None when nothing was counted.
    """
    rank = share * sum(histogram)
    below = 0
    for slot, count in enumerate(histogram):
        if count and below + count >= rank:
            return _within(slot, (rank - below) / count)
        below += count
    return None


def _within(slot: int, fraction: float) -> Quantile:
    if slot == len(LATENCY_BOUNDS_S):
        return Quantile(seconds=LATENCY_BOUNDS_S[-1], beyond=True)
    low = LATENCY_BOUNDS_S[slot - 1] if slot else 0.0
    return Quantile(seconds=low + (LATENCY_BOUNDS_S[slot] - low) * fraction)

"""What became of replayed messages: reported by consumers in batches, read by pages.

A death comes back through capture; this is for those that were handled well.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from django.db.models import Count
from django.utils import timezone

from stompconsole.deadletters import transitions
from stompconsole.deadletters.captured import replay_id as parsed_replay_id
from stompconsole.models import Replay, ReplayItem, ReplayItemState

PAIRS_PER_TRANSACTION = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a replay is: its items by state. They add up to ``total`` once all of it is frozen, and until retention
    deletes dead letters."""

    total: int = 0
    waiting: int = 0
    sent: int = 0
    processed: int = 0
    failed_again: int = 0
    skipped: int = 0


def record_processed(pairs: Sequence[tuple[str, str]]) -> int:
    """Record that these (dead letter id, replay id), as the messages carried them, were handled well.

    Returns how many items became processed by it: repeated, unknown and malformed pairs change nothing. Raises what
    the database raises; then the pairs not recorded can be given again.
    """
    known = sorted({pair for pair in map(_parsed, pairs) if pair is not None})
    now = timezone.now()
    return sum(
        transitions.mark_processed(known[start : start + PAIRS_PER_TRANSACTION], now)
        for start in range(0, len(known), PAIRS_PER_TRANSACTION)
    )


def progress(replay: Replay) -> Progress:
    """One query."""
    counts = dict(ReplayItem.objects.filter(replay=replay).order_by().values_list("state").annotate(Count("pk")))
    return Progress(
        total=replay.total,
        waiting=counts.get(ReplayItemState.WAITING, 0) + to_freeze(replay, sum(counts.values())),
        sent=counts.get(ReplayItemState.SENT, 0),
        processed=counts.get(ReplayItemState.PROCESSED, 0),
        failed_again=counts.get(ReplayItemState.FAILED_AGAIN, 0),
        skipped=counts.get(ReplayItemState.SKIPPED, 0),
    )


def to_freeze(replay: Replay, frozen: int) -> int:
    """How many of its choice are still to be frozen, where ``frozen`` are its items."""
    return max(0, replay.total - frozen) if replay.unfrozen is not None else 0


def _parsed(pair: tuple[str, str]) -> tuple[uuid.UUID, int] | None:
    dead_letter_id, replay_id = pair
    number = parsed_replay_id(replay_id)
    try:
        return None if number is None else (uuid.UUID(dead_letter_id), number)
    except ValueError:
        return None

"""What is said of a replayed message that the broker may hold twice, or hold though it is not counted as sent.

A note on its item, and nothing else: states are for ``transitions``. A waiting item with a note was sent before, and
one in a flight may have been.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection
from itertools import chain

from stompconsole.models import ReplayFlight, ReplayItem, ReplayItemState

UNCONFIRMED = (
    "It was sent, and the broker has not confirmed it yet. If its worker ends before that, it is sent once more and may"
    " arrive twice."
)
REPEATED = "It was sent more than once, since the broker had not confirmed it: it may have arrived twice."
MAY_ARRIVE = (
    "It was sent, or was about to be, before the replay was cancelled, and the broker has not confirmed it: it may"
    " still arrive."
)


def in_flight(replay_id: int) -> frozenset[int]:
    """Items of a replay that are about to be sent or on their way, those included that a dead worker left so."""
    flights = ReplayFlight.objects.filter(replay_id=replay_id)
    return frozenset(chain.from_iterable(flights.values_list("item_ids", flat=True)))


def write(
    replay_id: int,
    in_doubt: Collection[uuid.UUID],
    repeated: Collection[uuid.UUID],
    cleared: Collection[uuid.UUID],
) -> None:
    """Say of items that they are in doubt, that they were sent again, or nothing any more. Safe to repeat."""
    for dead_letter_ids, fields in (
        (in_doubt, {"note": UNCONFIRMED}),
        (repeated, {"note": REPEATED, "doubtful": True}),
        (cleared, {"note": ""}),
    ):
        if dead_letter_ids:
            items = ReplayItem.objects.filter(replay_id=replay_id, dead_letter_id__in=dead_letter_ids)
            # The outcome may be there already, and a skipped one has a reason of its own.
            items.exclude(state=ReplayItemState.SKIPPED).update(**fields)

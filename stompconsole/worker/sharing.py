"""Who takes which free slot: an even share at once, what is left a little later, back to the others when they come.

Pure. Every worker decides for itself; the conditional UPDATE of the lease settles who was first. Nothing flaps:
what was taken is given back only once for a change in the set of workers, and only above the even share.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from stompconsole.delivery.specs import ConsumerSpec, SubscriptionState
from stompconsole.worker.wanted import CaptureSpec, SlotKey, SlotRow, Target, View


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long to wait, in seconds, before taking more than one's share, and before sharing with a newcomer."""

    left_over_s: float
    newcomer_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """What a worker remembers from one plan to the next."""

    free_since: Mapping[SlotKey, float] = field(default_factory=dict)
    fleet: frozenset[UUID] = frozenset()
    fleet_since: float = 0.0
    shared_out: bool = False
    """Whether this worker has given back what it had too much of, since the set of workers last changed."""
    giving_back: frozenset[SlotKey] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How this worker stands: what it runs or could run, what it has of that, what is there to take."""

    me: UUID
    workers: tuple[UUID, ...]
    shared: frozenset[SlotKey]
    have: frozenset[SlotKey]
    takeable: frozenset[SlotKey]

    @property
    def share(self) -> int:
        """The even share, rounded up."""
        return math.ceil(len(self.shared) / len(self.workers))


def standing(view: View, wanted: Mapping[SlotKey, Target], mine: Iterable[SlotKey], memory: Memory) -> Standing:
    """Read off how things stand; slots that every worker has one of are not shared."""
    shared = frozenset(
        key
        for key, target in wanted.items()
        if isinstance(target, ConsumerSpec | CaptureSpec) and key.slot != str(view.me)
    )
    rows = {row.key: row for row in view.rows}
    held = frozenset(mine)
    return Standing(
        me=view.me,
        workers=tuple(sorted(view.living | {view.me})),
        shared=shared,
        have=(shared & held) - memory.giving_back,
        takeable=frozenset(key for key in shared - held if may_take(rows.get(key), view.me)),
    )


def may_take(row: SlotRow | None, me: UUID) -> bool:
    """Whether a worker that can run a slot may try for it.

    A slot that is broken for its holder has no runner: who can run it may have it (a rolling deploy, half-way).
    One that is ours by its row, but not in our hands, was lost in an outage.
    """
    return row is None or row.free or row.holder == me or row.state is SubscriptionState.BROKEN


def remember(now: Standing, memory: Memory, mine: Iterable[SlotKey], now_s: float) -> Memory:
    """The memory brought up to date."""
    fleet = frozenset(now.workers)
    same = fleet == memory.fleet
    return Memory(
        free_since={key: memory.free_since.get(key, now_s) for key in now.takeable},
        fleet=fleet,
        fleet_since=memory.fleet_since if same else now_s,
        shared_out=memory.shared_out and same,
        giving_back=memory.giving_back & frozenset(mine),
    )


def to_take(now: Standing, memory: Memory, now_s: float, patience: Patience) -> list[SlotKey]:
    """The slots to try for now: up to the share, and of what has been left for a while a fair part."""
    order = _in_my_order(now)
    room = max(0, now.share - len(now.have))
    wait_s = patience.left_over_s if len(now.workers) > 1 else 0.0
    left = [key for key in order[room:] if now_s - memory.free_since.get(key, now_s) >= wait_s]
    return order[:room] + left[: math.ceil(len(left) / len(now.workers))]


def to_give_back(now: Standing, memory: Memory, now_s: float, patience: Patience) -> frozenset[SlotKey]:
    """What is above the share, once after the set of workers has changed and then stayed the same for a while."""
    settled = now_s - memory.fleet_since >= patience.newcomer_s
    if memory.shared_out or not settled:
        return frozenset()
    excess = len(now.have) - now.share
    if excess <= 0:
        return frozenset()
    return frozenset(_most_alike_first(now.have)[:excess])


def _in_my_order(now: Standing) -> list[SlotKey]:
    """Each worker begins elsewhere, so that few try for the same slot; then what it has least of."""
    order = sorted(now.takeable, key=_spread)
    start = now.workers.index(now.me) * now.share % max(1, len(order))
    have = Counter((key.consumer_id, key.purpose) for key in now.have)
    return sorted(order[start:] + order[:start], key=lambda key: have[key.consumer_id, key.purpose])


def _most_alike_first(keys: Iterable[SlotKey]) -> Sequence[SlotKey]:
    """Slots of which this worker has several of the same consumer come first."""
    ordered = sorted(keys, key=_spread)
    seen: Counter[tuple[int, str]] = Counter()
    rank = {}
    for key in ordered:
        rank[key] = seen[key.consumer_id, key.purpose]
        seen[key.consumer_id, key.purpose] += 1
    return sorted(ordered, key=lambda key: rank[key], reverse=True)


def _spread(key: SlotKey) -> tuple[int, str, int, str]:
    # By number first: neighbours in this order are slots of different consumers.
    return (len(key.slot), key.slot, key.consumer_id, key.purpose)

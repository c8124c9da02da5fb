"""What a worker has to do, from what should run and what does. Pure: frozen values in, frozen values out.

Level-triggered: a plan looks at how things are, never at what has happened, so a lost nudge, a crash in the middle
or a database that was away leave nothing to be mended by hand. Editing a row touches the slots of that row alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from stompconsole.delivery.specs import ConsumerSpec, SubscriptionState
from stompconsole.worker import sharing
from stompconsole.worker.sharing import Memory, Patience
from stompconsole.worker.wanted import (
    Broken,
    CaptureSpec,
    Held,
    Paused,
    RunSpec,
    SlotKey,
    SlotRow,
    Target,
    View,
    of_other_workers,
    targets,
)

DELETED = "the consumer was deleted"
PAUSED = "paused"
CHANGED = "its definition has changed"
TOO_MANY = "no longer asked for"
SHARED = "given to another worker, to share evenly"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ensure:
    """Have a row for each of these slots."""

    keys: tuple[SlotKey, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Forget:
    """Delete the rows of these slots, if nobody holds them."""

    keys: tuple[SlotKey, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Acquire:
    """Try for the lease of a slot and, if it is won, start a runner."""

    key: SlotKey
    spec: RunSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """Start a runner in a slot that is held."""

    key: SlotKey
    spec: RunSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Break:
    """Hold a slot, if nobody else does, without a runner, and say why."""

    key: SlotKey
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Drain:
    """Ask the runner of a slot to finish; the lease stays until it has."""

    key: SlotKey
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """Give up the lease of a slot that has no runner any more."""

    key: SlotKey
    reason: str


Action = Ensure | Forget | Acquire | Start | Break | Drain | Release


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to do, in this order, and what to remember for the next plan."""

    actions: tuple[Action, ...]
    memory: Memory


def decide(view: View, mine: Mapping[SlotKey, Held], memory: Memory, now_s: float, patience: Patience) -> Plan:
    """The plan of one worker. ``mine`` is looked at after ``view`` was read; ``now_s`` is any steady clock."""
    wanted = targets(view)
    rows = {row.key: row for row in view.rows}
    memory = sharing.remember(sharing.standing(view, wanted, mine, memory), memory, mine, now_s)
    now = sharing.standing(view, wanted, mine, memory)
    back = sharing.to_give_back(now, memory, now_s, patience)
    if back:
        memory = replace(memory, giving_back=memory.giving_back | back, shared_out=True)
    take = [*_of_this_worker(view, wanted, mine), *sharing.to_take(now, memory, now_s, patience)]
    actions: list[Action] = list(_for_mine(wanted, mine, rows, memory))
    actions += _for_free(wanted, mine, rows, take)
    actions += _forget(view, wanted)
    return Plan(actions=tuple(actions), memory=memory)


def _of_this_worker(view: View, wanted: Mapping[SlotKey, Target], mine: Mapping[SlotKey, Held]) -> list[SlotKey]:
    return [
        key
        for key, target in wanted.items()
        if key.slot == str(view.me) and key not in mine and isinstance(target, ConsumerSpec | CaptureSpec)
    ]


def _for_mine(
    wanted: Mapping[SlotKey, Target], mine: Mapping[SlotKey, Held], rows: Mapping[SlotKey, SlotRow], memory: Memory
) -> Iterator[Action]:
    consumers = {key.consumer_id for key in wanted}
    for key, held in mine.items():
        if held.draining:
            continue
        reason = _why_not(key, wanted.get(key), consumers, memory)
        if reason:
            yield Release(key=key, reason=reason) if held.spec is None else Drain(key=key, reason=reason)
        else:
            yield from _keep(key, wanted[key], held, rows.get(key))


def _why_not(key: SlotKey, target: Target | None, consumers: set[int], memory: Memory) -> str:
    """Why this worker should no longer have a slot; empty if it should."""
    if target is None:
        return TOO_MANY if key.consumer_id in consumers else DELETED
    if isinstance(target, Paused):
        return PAUSED
    return SHARED if key in memory.giving_back else ""


def _keep(key: SlotKey, target: Target, held: Held, row: SlotRow | None) -> Iterator[Action]:
    match target:
        case Paused():
            return
        case Broken(reason=reason):
            if held.spec is not None:
                yield Drain(key=key, reason=reason)
            elif row is None or (row.state, row.reason) != (SubscriptionState.BROKEN, reason):
                yield Break(key=key, reason=reason)
        case ConsumerSpec() | CaptureSpec():
            if held.spec is None:
                yield _start(key, target, row)
            elif held.spec != target:
                yield Drain(key=key, reason=CHANGED)


def _start(key: SlotKey, spec: RunSpec, row: SlotRow | None) -> Action:
    # While its row says broken, another worker may take the slot: it has to be won again.
    if row is not None and row.state is SubscriptionState.BROKEN:
        return Acquire(key=key, spec=spec)
    return Start(key=key, spec=spec)


def _for_free(
    wanted: Mapping[SlotKey, Target],
    mine: Mapping[SlotKey, Held],
    rows: Mapping[SlotKey, SlotRow],
    take: list[SlotKey],
) -> Iterator[Action]:
    broken = {
        key: target.reason
        for key, target in wanted.items()
        if isinstance(target, Broken) and key not in mine and (key not in rows or rows[key].free)
    }
    missing = tuple(key for key in [*take, *broken] if key not in rows)
    if missing:
        yield Ensure(keys=missing)
    for key in take:
        target = wanted[key]
        if isinstance(target, ConsumerSpec | CaptureSpec):
            yield Acquire(key=key, spec=target)
    for key, reason in broken.items():
        yield Break(key=key, reason=reason)


def _forget(view: View, wanted: Mapping[SlotKey, Target]) -> Iterator[Action]:
    others = of_other_workers(view)
    keys = tuple(row.key for row in view.rows if row.free and row.key not in wanted and row.key not in others)
    if keys:
        yield Forget(keys=keys)

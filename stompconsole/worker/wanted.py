"""What should run, as frozen values: definitions, the slots they ask for, the slots as they are. Pure.

Owns the words in which a plan is made. Refuses I/O: ``definitions.py`` reads these from rows.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from stompconsole.delivery.specs import ConsumerSpec, Purpose, SubscriptionSpec, SubscriptionState

CAPTURE_SLOT = "0"


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotKey:
    """Names one slot over all workers. ``slot`` is a number, or a worker's id where every worker has one."""

    consumer_id: int
    purpose: Purpose
    slot: str

    def __str__(self) -> str:
        return f"{self.consumer_id}/{self.purpose.value}/{self.slot}"


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptureSpec:
    """What a capture runner needs; an edit that leaves it equal does not restart the runner."""

    consumer_name: str
    subscription: SubscriptionSpec


RunSpec = ConsumerSpec | CaptureSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Broken:
    """There is nothing to run, and why, in words."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Paused:
    """There is something to run, but not now."""


Target = RunSpec | Broken | Paused


@dataclass(frozen=True, slots=True, kw_only=True)
class Definition:
    """One consumer as this worker reads it. ``instances`` 0 means one slot in every worker; no ``capture`` is off;
    ``tried_at`` is when an operator last wanted its open breakers to try a message."""

    consumer_id: int
    instances: int
    paused: bool
    consume: ConsumerSpec | Broken
    capture: CaptureSpec | Broken | None = None
    tried_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotRow:
    """A slot as its row has it. ``free``: nobody holds it, or the lease has run out by the database's clock."""

    key: SlotKey
    holder: UUID | None
    free: bool
    state: SubscriptionState = SubscriptionState.STOPPED
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A slot this worker holds. ``spec`` is what its runner was started with, None when it has no runner."""

    spec: RunSpec | None
    draining: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """All that a plan is made from, read at one moment. ``living`` holds the workers heard of lately, this one too."""

    me: UUID
    living: frozenset[UUID]
    definitions: tuple[Definition, ...]
    rows: tuple[SlotRow, ...]


def targets(view: View) -> dict[SlotKey, Target]:
    """The slots that may exist and what this worker would do with each; slots of other workers are left out."""
    found: dict[SlotKey, Target] = {}
    for definition in view.definitions:
        consume: Target = Paused() if definition.paused else definition.consume
        for slot in _slots(definition, [view.me]):
            found[SlotKey(consumer_id=definition.consumer_id, purpose=Purpose.CONSUME, slot=slot)] = consume
        if definition.capture is not None:
            key = SlotKey(consumer_id=definition.consumer_id, purpose=Purpose.CAPTURE, slot=CAPTURE_SLOT)
            found[key] = definition.capture
    return found


def of_other_workers(view: View) -> set[SlotKey]:
    """The slots that belong to one of the other living workers each."""
    return {
        SlotKey(consumer_id=definition.consumer_id, purpose=Purpose.CONSUME, slot=slot)
        for definition in view.definitions
        if definition.instances == 0
        for slot in _slots(definition, view.living - {view.me})
    }


def _slots(definition: Definition, workers: Iterable[UUID]) -> list[str]:
    if definition.instances == 0:
        return [str(worker) for worker in workers]
    return [str(number) for number in range(definition.instances)]

"""A fleet of workers in memory: the rows, one clock, and workers that carry out what the real plan says.

The model of the database is what ``leases`` promises; workers crash, lose the database, run different code.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field, replace
from uuid import UUID

from stompconsole.delivery.specs import SubscriptionState
from stompconsole.worker import plan
from stompconsole.worker.sharing import Memory, Patience
from stompconsole.worker.wanted import Broken, Definition, Held, RunSpec, SlotKey, SlotRow, View

LEASE_S = 10.0
HEARD_OF_S = 5.0
PATIENCE = Patience(left_over_s=2.0, newcomer_s=5.0)
DRAIN_S = 2.0

_runner_ids = itertools.count(1)


@dataclass
class Row:
    holder: UUID | None = None
    lease_until: float = 0.0
    state: SubscriptionState = SubscriptionState.STOPPED
    reason: str = ""


@dataclass
class Holding:
    """A lease, and perhaps a runner in it."""

    deadline: float
    spec: RunSpec | None = None
    runner_id: int = 0
    drained_at: float | None = None


@dataclass
class SimulatedWorker:
    id: UUID
    lacks: frozenset[int] = frozenset()
    """Consumers whose handlers its code does not have."""
    mine: dict[SlotKey, Holding] = field(default_factory=dict)
    memory: Memory = field(default_factory=Memory)
    cut_off: bool = False
    seen_at: float = 0.0
    read: View | None = None
    """What it has read and not yet acted on."""


class Fleet:
    """Rows, definitions, workers and the clock they all go by."""

    def __init__(self) -> None:
        self.now = 0.0
        self.rows: dict[SlotKey, Row] = {}
        self.definitions: dict[int, Definition] = {}
        self.workers: dict[UUID, SimulatedWorker] = {}
        self.started = 0

    def add_worker(self, number: int, lacks: frozenset[int] = frozenset()) -> SimulatedWorker:
        worker = SimulatedWorker(id=UUID(int=number), lacks=lacks, seen_at=self.now)
        self.workers[worker.id] = worker
        return worker

    def crash(self, worker: SimulatedWorker) -> None:
        del self.workers[worker.id]

    def edit(self, consumer_id: int, **changes: object) -> None:
        self.definitions[consumer_id] = replace(self.definitions[consumer_id], **changes)  # type: ignore[arg-type]

    def delete(self, consumer_id: int) -> None:
        del self.definitions[consumer_id]
        self.rows = {key: row for key, row in self.rows.items() if key.consumer_id != consumer_id}

    def pass_time(self, seconds: float = 1.0) -> None:
        """The clock goes on; what has drained ends, and guards stop what was not renewed in time."""
        self.now += seconds
        for worker in self.workers.values():
            for key, held in list(worker.mine.items()):
                if held.deadline <= self.now:
                    del worker.mine[key]
                elif held.drained_at is not None and held.drained_at <= self.now:
                    held.spec, held.drained_at = None, None

    def read(self, worker: SimulatedWorker) -> None:
        """One worker reads the rows; by the time it acts on them they may be different."""
        if not worker.cut_off:
            worker.read = self._view(worker)

    def tick(self, worker: SimulatedWorker) -> tuple[plan.Action, ...]:
        """One worker renews, plans and carries out."""
        if worker.cut_off or worker.id not in self.workers:
            return ()
        worker.seen_at = self.now
        self._renew(worker)
        mine = {key: Held(spec=held.spec, draining=held.drained_at is not None) for key, held in worker.mine.items()}
        view, worker.read = worker.read or self._view(worker), None
        decided = plan.decide(view, mine, worker.memory, self.now, PATIENCE)
        worker.memory = decided.memory
        for action in decided.actions:
            self._carry_out(worker, action)
        return decided.actions

    def run(self, seconds: int) -> list[plan.Action]:
        """All workers tick once a second."""
        actions: list[plan.Action] = []
        for _ in range(seconds):
            self.pass_time()
            for worker in list(self.workers.values()):
                actions += self.tick(worker)
        return actions

    def runners(self) -> dict[SlotKey, list[tuple[UUID, int, RunSpec]]]:
        """Which worker runs what in each slot, draining ones included."""
        found: dict[SlotKey, list[tuple[UUID, int, RunSpec]]] = {}
        for worker in self.workers.values():
            for key, held in worker.mine.items():
                if held.spec is not None:
                    found.setdefault(key, []).append((worker.id, held.runner_id, held.spec))
        return found

    def _renew(self, worker: SimulatedWorker) -> None:
        for key, held in list(worker.mine.items()):
            row = self.rows.get(key)
            if row is not None and row.holder == worker.id and row.lease_until > self.now:
                row.lease_until = self.now + LEASE_S
                held.deadline = self.now + LEASE_S * 0.8
            elif key.consumer_id in self.definitions or held.spec is None:
                del worker.mine[key]

    def _view(self, worker: SimulatedWorker) -> View:
        return View(
            me=worker.id,
            living=frozenset(w.id for w in self.workers.values() if self.now - w.seen_at <= HEARD_OF_S),
            definitions=tuple(self._as_seen_by(worker, definition) for definition in self.definitions.values()),
            rows=tuple(
                SlotRow(key=key, holder=row.holder, free=self._is_free(row), state=row.state, reason=row.reason)
                for key, row in self.rows.items()
            ),
        )

    def _as_seen_by(self, worker: SimulatedWorker, definition: Definition) -> Definition:
        if definition.consumer_id not in worker.lacks:
            return definition
        return replace(definition, consume=Broken(reason="no such handler"))

    def _is_free(self, row: Row) -> bool:
        return row.holder is None or row.lease_until <= self.now

    def _carry_out(self, worker: SimulatedWorker, action: plan.Action) -> None:
        match action:
            case plan.Ensure(keys=keys):
                self.rows = {**{key: Row() for key in keys if key.consumer_id in self.definitions}, **self.rows}
            case plan.Forget(keys=keys):
                self.rows = {key: row for key, row in self.rows.items() if key not in keys or not self._is_free(row)}
            case plan.Acquire(key=key, spec=spec):
                if self._take(worker, key, SubscriptionState.STARTING, ""):
                    self._start(worker.mine[key], spec)
            case plan.Break(key=key, reason=reason):
                self._take(worker, key, SubscriptionState.BROKEN, reason)
            case plan.Start(key=key, spec=spec):
                self._start(worker.mine[key], spec)
            case plan.Drain(key=key):
                worker.mine[key].drained_at = self.now + DRAIN_S
            case plan.Release(key=key):
                del worker.mine[key]
                self.rows = {at: Row() if self._is(row, at, worker, key) else row for at, row in self.rows.items()}

    def _is(self, row: Row, at: SlotKey, worker: SimulatedWorker, key: SlotKey) -> bool:
        return at == key and row.holder == worker.id

    def _take(self, worker: SimulatedWorker, key: SlotKey, state: SubscriptionState, reason: str) -> bool:
        row = self.rows.get(key)
        if row is None:
            worker.mine.pop(key, None)
            return False
        steals = state is SubscriptionState.STARTING and row.state is SubscriptionState.BROKEN
        if not (self._is_free(row) or row.holder == worker.id or steals):
            worker.mine.pop(key, None)
            return False
        self.rows[key] = Row(holder=worker.id, lease_until=self.now + LEASE_S, state=state, reason=reason)
        worker.mine[key] = Holding(deadline=self.now + LEASE_S * 0.8)
        return True

    def _start(self, held: Holding, spec: RunSpec) -> None:
        assert held.spec is None, "a runner is started where one runs"
        self.started += 1
        held.spec, held.runner_id = spec, next(_runner_ids)

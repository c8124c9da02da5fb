"""The plan of a worker, by itself and in fleets that crash, lose the database and are edited."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stompconsole.delivery.specs import BrokerSpec, ConsumerSpec, Purpose, SubscriptionState, capture_spec
from stompconsole.transport.session import Endpoint
from stompconsole.worker import plan
from stompconsole.worker.sharing import Memory
from stompconsole.worker.wanted import Broken, CaptureSpec, Definition, Held, RunSpec, SlotKey, SlotRow, View
from tests.worker.fleet import PATIENCE, Fleet, SimulatedWorker

ME = UUID(int=1)
OTHER = UUID(int=2)
BROKER = BrokerSpec(name="b", endpoints=(Endpoint(host="127.0.0.1", port=1),))


def spec(name: str = "orders", destination: str = "/queue/orders", threads: int = 1) -> ConsumerSpec:
    return ConsumerSpec(name=name, broker=BROKER, destination=destination, handler="h", threads=threads)


def capture_of(consumer: ConsumerSpec) -> CaptureSpec:
    return CaptureSpec(consumer_name=consumer.name, subscription=capture_spec(consumer))


def definition(
    consumer_id: int = 1,
    *,
    instances: int = 1,
    paused: bool = False,
    consume: ConsumerSpec | Broken | None = None,
    capture: CaptureSpec | Broken | None = None,
) -> Definition:
    return Definition(
        consumer_id=consumer_id, instances=instances, paused=paused, consume=consume or spec(), capture=capture
    )


def key(consumer_id: int = 1, slot: str = "0", purpose: Purpose = Purpose.CONSUME) -> SlotKey:
    return SlotKey(consumer_id=consumer_id, purpose=purpose, slot=slot)


def held_by(holder: UUID, at: SlotKey, state: SubscriptionState = SubscriptionState.RUNNING) -> SlotRow:
    return SlotRow(key=at, holder=holder, free=False, state=state)


def decide(
    *definitions: Definition,
    mine: dict[SlotKey, Held] | None = None,
    rows: tuple[SlotRow, ...] = (),
    living: frozenset[UUID] = frozenset({ME}),
) -> tuple[plan.Action, ...]:
    view = View(me=ME, living=living, definitions=definitions, rows=rows)
    return plan.decide(view, mine or {}, Memory(), 100.0, PATIENCE).actions


def test_a_new_consumer_is_acquired() -> None:
    assert decide(definition()) == (plan.Ensure(keys=(key(),)), plan.Acquire(key=key(), spec=spec()))


def test_a_slot_that_another_worker_holds_is_left_alone() -> None:
    assert decide(definition(), rows=(held_by(OTHER, key()),)) == ()


def test_nothing_is_done_while_all_is_as_it_should_be() -> None:
    assert decide(definition(), mine={key(): Held(spec=spec())}, rows=(held_by(ME, key()),)) == ()


def test_an_edited_consumer_drains_and_then_starts_with_its_new_definition() -> None:
    edited = definition(consume=spec(threads=2))
    rows = (held_by(ME, key()),)
    assert decide(edited, mine={key(): Held(spec=spec())}, rows=rows) == (plan.Drain(key=key(), reason=plan.CHANGED),)
    assert decide(edited, mine={key(): Held(spec=spec(), draining=True)}, rows=rows) == ()
    assert decide(edited, mine={key(): Held(spec=None)}, rows=rows) == (plan.Start(key=key(), spec=spec(threads=2)),)


def test_an_edit_that_capture_does_not_care_about_leaves_the_capture_alone() -> None:
    at = key(purpose=Purpose.CAPTURE)
    edited = definition(paused=True, consume=spec(threads=9), capture=capture_of(spec(threads=9)))
    assert decide(edited, mine={at: Held(spec=capture_of(spec()))}, rows=(held_by(ME, at),)) == ()


def test_a_paused_consumer_drains_and_is_released_but_its_capture_runs_on() -> None:
    at = key(purpose=Purpose.CAPTURE)
    mine = {key(): Held(spec=spec()), at: Held(spec=capture_of(spec()))}
    paused = definition(paused=True, capture=capture_of(spec()))
    assert decide(paused, mine=mine) == (plan.Drain(key=key(), reason=plan.PAUSED),)
    mine[key()] = Held(spec=None)
    assert decide(paused, mine=mine) == (plan.Release(key=key(), reason=plan.PAUSED),)


def test_a_deleted_consumer_drains() -> None:
    assert decide(mine={key(): Held(spec=spec())}) == (plan.Drain(key=key(), reason=plan.DELETED),)


def test_a_slot_above_the_number_of_instances_drains() -> None:
    mine = {key(slot=slot): Held(spec=spec()) for slot in "01"}
    assert decide(definition(), mine=mine) == (plan.Drain(key=key(slot="1"), reason=plan.TOO_MANY),)


def test_a_row_that_nobody_asks_for_is_forgotten_when_it_is_free() -> None:
    extra = key(slot="1")
    rows = (held_by(ME, key()), SlotRow(key=extra, holder=None, free=True))
    mine = {key(): Held(spec=spec())}
    assert decide(definition(), mine=mine, rows=rows) == (plan.Forget(keys=(extra,)),)
    assert decide(definition(), mine=mine, rows=(held_by(ME, key()), held_by(OTHER, extra))) == ()


def test_a_consumer_that_can_not_run_is_held_broken_with_the_reason_and_without_a_runner() -> None:
    broken = definition(consume=Broken(reason="no such handler"))
    marked = SlotRow(key=key(), holder=ME, free=False, state=SubscriptionState.BROKEN, reason="no such handler")
    assert decide(broken) == (plan.Ensure(keys=(key(),)), plan.Break(key=key(), reason="no such handler"))
    assert decide(broken, mine={key(): Held(spec=None)}, rows=(marked,)) == ()
    assert decide(broken, mine={key(): Held(spec=spec())}) == (plan.Drain(key=key(), reason="no such handler"),)


def test_a_broken_consumer_leaves_the_others_alone() -> None:
    well = definition(2, consume=spec("well"))
    mine = {key(1): Held(spec=spec()), key(2): Held(spec=spec("well"))}
    assert decide(definition(consume=Broken(reason="x")), well, mine=mine) == (plan.Drain(key=key(1), reason="x"),)


def test_a_slot_that_is_broken_elsewhere_is_taken_by_a_worker_that_can_run_it() -> None:
    rows = (held_by(OTHER, key(), SubscriptionState.BROKEN),)
    assert decide(definition(), rows=rows) == (plan.Acquire(key=key(), spec=spec()),)


def test_a_mended_consumer_is_won_again_before_it_starts_since_another_may_have_taken_it() -> None:
    rows = (held_by(ME, key(), SubscriptionState.BROKEN),)
    assert decide(definition(), mine={key(): Held(spec=None)}, rows=rows) == (plan.Acquire(key=key(), spec=spec()),)


def test_a_slot_that_is_ours_only_by_its_row_is_acquired_again() -> None:
    assert decide(definition(), rows=(held_by(ME, key()),)) == (plan.Acquire(key=key(), spec=spec()),)


def test_a_worker_takes_its_even_share_first_and_what_is_left_a_little_later() -> None:
    many = [definition(number, consume=spec(f"c{number}")) for number in range(10)]
    view = View(me=ME, living=frozenset({ME, OTHER}), definitions=tuple(many), rows=())
    first = plan.decide(view, {}, Memory(), 0.0, PATIENCE)
    taken = {action.key: Held(spec=action.spec) for action in first.actions if isinstance(action, plan.Acquire)}
    assert len(taken) == 5
    again = plan.decide(view, taken, first.memory, 1.0, PATIENCE)
    assert not [action for action in again.actions if isinstance(action, plan.Acquire)]
    later = plan.decide(view, taken, again.memory, 3.0, PATIENCE)
    assert [action for action in later.actions if isinstance(action, plan.Acquire)]


def test_one_slot_in_every_worker_is_named_after_the_worker() -> None:
    everywhere = definition(instances=0)
    mine = key(slot=str(ME))
    assert decide(everywhere, living=frozenset({ME, OTHER})) == (
        plan.Ensure(keys=(mine,)),
        plan.Acquire(key=mine, spec=spec()),
    )


# Fleets.


def run_of(fleet: Fleet) -> dict[SlotKey, tuple[UUID, int, RunSpec]]:
    """The one runner of each slot."""
    found = fleet.runners()
    assert all(len(runners) == 1 for runners in found.values()), found
    return {at: runners[0] for at, runners in found.items()}


def fleet_of(workers: int, definitions: list[Definition]) -> Fleet:
    fleet = Fleet()
    fleet.definitions = {one.consumer_id: one for one in definitions}
    for number in range(1, workers + 1):
        fleet.add_worker(number)
    return fleet


def shares(fleet: Fleet) -> list[int]:
    return sorted(len(worker.mine) for worker in fleet.workers.values())


def test_a_fleet_shares_evenly() -> None:
    fleet = fleet_of(3, [definition(number) for number in range(10)])
    fleet.run(10)
    assert shares(fleet) in ([2, 4, 4], [3, 3, 4])


def test_two_instances_of_a_consumer_are_on_different_workers() -> None:
    fleet = fleet_of(2, [definition(number, instances=2) for number in range(3)])
    fleet.run(10)
    assert [len({at.consumer_id for at in worker.mine}) for worker in fleet.workers.values()] == [3, 3]


def test_a_newcomer_gets_its_share_and_nothing_flaps_afterwards() -> None:
    fleet = fleet_of(1, [definition(number) for number in range(6)])
    fleet.run(10)
    fleet.add_worker(2)
    fleet.run(20)
    assert shares(fleet) == [3, 3]
    started = fleet.started
    assert fleet.run(60) == []
    assert fleet.started == started


def test_what_a_crashed_worker_had_is_taken_over_within_the_lease_time_and_a_little() -> None:
    fleet = fleet_of(2, [definition(number) for number in range(6)])
    fleet.run(10)
    fleet.crash(fleet.workers[ME])
    fleet.run(14)
    assert len(run_of(fleet)) == 6


def test_one_in_every_worker_follows_the_workers() -> None:
    fleet = fleet_of(2, [definition(instances=0)])
    fleet.run(3)
    assert {at.slot for at in run_of(fleet)} == {str(ME), str(OTHER)}
    fleet.crash(fleet.workers[OTHER])
    fleet.add_worker(3)
    fleet.run(15)
    assert {at.slot for at in run_of(fleet)} == {str(ME), str(UUID(int=3))}
    assert set(fleet.rows) == set(run_of(fleet))


consumers = st.integers(1, 4)
specs = st.builds(spec, threads=st.integers(1, 3))
some_definitions = st.lists(
    st.builds(
        definition,
        consumers,
        instances=st.integers(0, 3),
        paused=st.booleans(),
        consume=specs,
        capture=st.one_of(st.none(), st.builds(capture_of, specs)),
    ),
    unique_by=lambda one: one.consumer_id,
    max_size=4,
)
workers = st.integers(1, 4)
events = st.one_of(
    st.tuples(st.just("tick"), workers),
    st.tuples(st.just("read"), workers),
    st.tuples(st.just("time"), st.integers(1, 4)),
    st.tuples(st.just("crash"), workers),
    st.tuples(st.just("join"), workers, st.frozensets(consumers, max_size=2)),
    st.tuples(st.just("cut off"), workers),
    st.tuples(st.just("connect"), workers),
    st.tuples(st.just("edit"), consumers, specs),
    st.tuples(st.just("pause"), consumers, st.booleans()),
    st.tuples(st.just("instances"), consumers, st.integers(0, 3)),
    st.tuples(st.just("break"), consumers),
    st.tuples(st.just("delete"), consumers),
)


class Story:
    """A fleet to which things happen. Every process has an id of its own, as real ones have."""

    def __init__(self, definitions: list[Definition]) -> None:
        self.fleet = fleet_of(0, definitions)
        self.by_number: dict[int, SimulatedWorker] = {}
        self.born = 0
        for number in (1, 2):
            self.happen(("join", number, frozenset()))

    def happen(self, event: tuple[object, ...]) -> None:
        match event:
            case ("tick", int(number)) if number in self.by_number:
                self.fleet.tick(self.by_number[number])
            case ("read", int(number)) if number in self.by_number:
                self.fleet.read(self.by_number[number])
            case ("time", int(seconds)):
                for _ in range(seconds):
                    self.fleet.pass_time()
            case ("crash", int(number)) if number in self.by_number:
                self.fleet.crash(self.by_number.pop(number))
            case ("join", int(number), frozenset() as lacks) if number not in self.by_number:
                self.born += 1
                self.by_number[number] = self.fleet.add_worker(self.born, lacks)
            case ("cut off" | "connect" as what, int(number)) if number in self.by_number:
                self.by_number[number].cut_off = what == "cut off"
            case (str(what), int(consumer_id), *rest) if consumer_id in self.fleet.definitions:
                self._edit(what, consumer_id, rest)

    def _edit(self, what: str, consumer_id: int, rest: list[object]) -> None:
        match what:
            case "edit":
                self.fleet.edit(consumer_id, consume=rest[0])
            case "pause":
                self.fleet.edit(consumer_id, paused=rest[0])
            case "instances":
                self.fleet.edit(consumer_id, instances=rest[0])
            case "break":
                self.fleet.edit(consumer_id, consume=Broken(reason="it was broken"))
            case "delete":
                self.fleet.delete(consumer_id)

    def settle(self) -> None:
        for worker in self.by_number.values():
            worker.cut_off = False
        self.fleet.run(60)


@pytest.mark.long
@settings(max_examples=300, deadline=None)
@given(some_definitions, st.lists(events, max_size=60))
def test_no_slot_ever_has_two_runners_whatever_happens(definitions: list[Definition], happenings: list[tuple]) -> None:  # type: ignore[type-arg]
    story = Story(definitions)
    for event in happenings:
        story.happen(event)
        run_of(story.fleet)


def expected_slots(fleet: Fleet) -> dict[SlotKey, RunSpec]:
    """Every slot that some living worker can run."""
    wanted: dict[SlotKey, RunSpec] = {}
    for one in fleet.definitions.values():
        able = [worker for worker in fleet.workers.values() if one.consumer_id not in worker.lacks]
        if isinstance(one.consume, ConsumerSpec) and not one.paused:
            everywhere = [str(worker.id) for worker in able]
            slots = [str(number) for number in range(one.instances)] if able else []
            wanted |= {key(one.consumer_id, slot): one.consume for slot in slots or everywhere}
        if isinstance(one.capture, CaptureSpec) and fleet.workers:
            wanted[key(one.consumer_id, "0", Purpose.CAPTURE)] = one.capture
    return wanted


@pytest.mark.long
@settings(max_examples=300, deadline=None)
@given(some_definitions, st.lists(events, max_size=60))
def test_a_fleet_comes_to_run_exactly_what_is_wanted_and_then_rests(
    definitions: list[Definition],
    happenings: list[tuple],  # type: ignore[type-arg]
) -> None:
    story = Story(definitions)
    for event in happenings:
        story.happen(event)
    story.settle()
    assert {at: what for at, (_, _, what) in run_of(story.fleet).items()} == expected_slots(story.fleet)
    assert story.fleet.run(30) == []


@pytest.mark.long
@settings(max_examples=100, deadline=None)
@given(some_definitions, st.integers(1, 3), st.data())
def test_a_changed_definition_touches_its_own_runners_alone(
    definitions: list[Definition], worker_count: int, data: st.DataObject
) -> None:
    fleet = fleet_of(worker_count, definitions)
    fleet.run(30)
    before = run_of(fleet)
    changed = data.draw(st.sampled_from(sorted(fleet.definitions) or [0]))
    if changed:
        fleet.edit(changed, consume=spec(threads=50))
    fleet.run(30)
    after = run_of(fleet)
    assert set(after) == set(before)
    touched = {at for at in after if after[at] != before[at]}
    assert touched == {at for at in before if at.consumer_id == changed and at.purpose is Purpose.CONSUME}
    assert all(replace(spec(), threads=50) == after[at][2] for at in touched)


@pytest.mark.long
@settings(max_examples=50, deadline=None)
@given(st.integers(1, 4), st.lists(st.integers(1, 3), min_size=1, max_size=8))
def test_no_worker_has_more_than_its_even_share_when_all_start_together(workers: int, instances: list[int]) -> None:
    fleet = fleet_of(workers, [definition(number, instances=count) for number, count in enumerate(instances)])
    fleet.run(20)
    assert max(shares(fleet)) <= -(-sum(instances) // workers)

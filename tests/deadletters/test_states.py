"""The life of dead letters and replays as a state machine: operators, workers, brokers and deaths in any order.

Messages on the wire are kept as (dead letter, replay); each may be delivered any number of times, as brokers do.
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta

import pytest
from django.db.models import Count
from django.utils import timezone
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from stompconsole.deadletters import controlling, due, portions, replay_rows, scheduling, selection, tallies
from stompconsole.deadletters.outcomes import record_processed
from stompconsole.deadletters.replay_rows import Track
from stompconsole.deadletters.scheduling import Chosen
from stompconsole.deadletters.selection import Filters, Planned
from stompconsole.models import (
    Consumer,
    DeadLetter,
    Failure,
    FailureGroup,
    LetterTally,
    Replay,
    ReplayItem,
    ReplayState,
    Worker,
)
from tests.deadletters.making import Captures, died, make_consumer, make_worker, tallied

MAX_DEAD_LETTERS = 4

MOVES = {
    ("dead", "replaying"),
    ("dead", "discarded"),
    ("discarded", "dead"),
    ("replaying", "sent"),
    ("replaying", "dead"),
    ("replaying", "processed"),  # the outcome came before the receipt was written down
    ("sent", "processed"),
    ("sent", "dead"),
    ("scheduled", "replaying"),
    ("scheduled", "dead"),
    ("dead", "scheduled"),  # the cancel of a retry, undone
    ("replaying", "scheduled"),  # it failed again, and has another step
    ("sent", "scheduled"),
}
BY_A_DEATH = {("processed", "dead"), ("processed", "scheduled"), ("scheduled", "dead"), ("discarded", "scheduled")}


class Life(RuleBasedStateMachine):
    """Two workers, one consumer, a few messages."""

    def __init__(self) -> None:
        super().__init__()
        self.consumer: Consumer = make_consumer()
        self.captures = Captures(self.consumer)
        self.workers: list[Worker] = [make_worker(), make_worker()]
        self.replays: list[int] = []
        self.carrying: dict[int, int] = {}
        """Worker by replay."""
        self.in_flight: dict[int, list[uuid.UUID]] = {}
        """SENT and not written down, by replay."""
        self.wire: list[tuple[uuid.UUID, int]] = []
        self.dead_letters: list[uuid.UUID] = []
        self.deaths: list[dict[str, str]] = []
        self.cancels: list[datetime] = []
        self.seen: dict[uuid.UUID, str] = {}
        self.death = False

    def teardown(self) -> None:
        for model in (ReplayItem, Replay, Failure, DeadLetter, FailureGroup, Consumer, Worker):
            model.objects.all().delete()

    def fail(self, dead_letter_id: uuid.UUID, replay_id: int | None, due_at: datetime | None = None) -> None:
        failure_id = uuid.UUID(int=1_000 + len(self.deaths))
        ids = {"dead_letter_id": str(dead_letter_id), "failure_id": str(failure_id)}
        # Two errors in turn: a message that dies of another one moves to another group.
        ids["error_type"] = ("KeyError", "TimeoutError")[len(self.deaths) % 2]
        replay = "" if replay_id is None else str(replay_id)
        self.deaths.append(died(**ids, replay_id=replay, due_at=due_at, retry_step=1))
        self.capture(self.deaths[-1])

    def capture(self, headers: dict[str, str]) -> None:
        assert self.captures.give((headers, b"body")) == [0], "stored means ACKed"
        self.death = True

    @precondition(lambda self: len(self.dead_letters) < MAX_DEAD_LETTERS)
    @rule()
    def a_message_dies(self) -> None:
        # Ids by number: a case that fails must fail again when it is run once more.
        self.dead_letters.append(uuid.UUID(int=len(self.dead_letters) + 1))
        self.fail(self.dead_letters[-1], None)

    @precondition(lambda self: len(self.dead_letters) < MAX_DEAD_LETTERS)
    @rule(due_in_s=st.sampled_from((-1.0, 3_600.0)))
    def a_message_is_parked(self, due_in_s: float) -> None:
        self.dead_letters.append(uuid.UUID(int=len(self.dead_letters) + 1))
        self.fail(self.dead_letters[-1], None, timezone.now() + timedelta(seconds=due_in_s))

    @rule()
    def a_worker_gathers_what_is_due(self) -> None:
        due.gather()
        assert not DeadLetter.objects.filter(
            state="scheduled", due_at__lte=timezone.now(), consumer__isnull=False
        ).exclude(
            consumer__in=Replay.objects.filter(scheduled=True, state__in=("waiting", "running")).values("consumer")
        )
        known = set(self.replays)
        self.replays += Replay.objects.exclude(pk__in=known).values_list("pk", flat=True)

    @rule(data=st.data())
    def an_operator_sends_some_now(self, data: st.DataObject) -> None:
        done = scheduling.send_now(Chosen(ids=tuple(data.draw(self.some_dead_letters()))), actor=None)
        if done.replay is not None:
            self.replays.append(done.replay.pk)

    @rule(data=st.data())
    def an_operator_cancels_some_retries(self, data: st.DataObject) -> None:
        done = scheduling.cancel(Chosen(ids=tuple(data.draw(self.some_dead_letters()))), actor=None)
        self.cancels += [done.at] if done.count else []

    @precondition(lambda self: self.cancels)
    @rule(data=st.data())
    def an_operator_takes_a_cancel_back(self, data: st.DataObject) -> None:
        scheduling.undo_cancel(data.draw(st.sampled_from(self.cancels)), actor=None)

    @precondition(lambda self: self.deaths)
    @rule(data=st.data())
    def a_dead_letter_is_delivered_again(self, data: st.DataObject) -> None:
        before = self.states()
        self.capture(data.draw(st.sampled_from(self.deaths)))
        assert self.states() == before, "a known death changes nothing"

    @rule(data=st.data())
    def an_operator_replays_some(self, data: st.DataObject) -> None:
        ids = data.draw(self.some_dead_letters())
        planned = self.planned(selection.replay_selected(ids, actor=None))
        assert planned.chosen + planned.skipped == len(set(ids))

    @rule()
    def an_operator_replays_all(self) -> None:
        seen = selection.preview(Filters())
        planned = selection.replay_matching(Filters(), as_of=seen.as_of, expected_count=seen.count, actor=None)
        assert self.planned(planned).chosen == seen.count

    @rule(data=st.data())
    def an_operator_discards_some(self, data: st.DataObject) -> None:
        selection.discard_selected(data.draw(self.some_dead_letters()), actor=None)

    @rule(data=st.data())
    def an_operator_brings_some_back(self, data: st.DataObject) -> None:
        selection.undo_discard(data.draw(self.some_dead_letters()), actor=None)

    @precondition(lambda self: self.replays)
    @rule(data=st.data())
    def an_operator_cancels(self, data: st.DataObject) -> None:
        replay_id = data.draw(st.sampled_from(self.replays))
        controlling.cancel_replay(replay_id, actor=None)

    @rule(worker=st.integers(0, 1), track=st.sampled_from(Track))
    def a_worker_takes_a_replay(self, worker: int, track: Track) -> None:
        mine = [replay for replay, carrier in self.carrying.items() if carrier == worker]
        replay_id = replay_rows.take(self.workers[worker].pk, 600.0, mine, track)
        if replay_id is not None:
            assert replay_id not in self.carrying, "one worker at a time"
            self.carrying[replay_id] = worker
            self.in_flight[replay_id] = []

    @precondition(lambda self: self.carrying)
    @rule(data=st.data())
    def a_worker_sends(self, data: st.DataObject) -> None:
        replay_id = self.some_replay(data)
        outgoing = portions.portion(replay_id, 0, ()).outgoing
        for message in outgoing[: data.draw(st.integers(1, 3))]:
            self.wire.append((message.dead_letter_id, replay_id))
            self.in_flight[replay_id].append(message.dead_letter_id)

    @precondition(lambda self: self.carrying)
    @rule(data=st.data())
    def a_worker_writes_its_receipts_down(self, data: st.DataObject) -> None:
        replay_id = self.some_replay(data)
        replay_rows.record(replay_id, self.in_flight[replay_id], [])
        self.in_flight[replay_id] = []

    @precondition(lambda self: self.carrying)
    @rule(data=st.data())
    def a_broker_refuses_one(self, data: st.DataObject) -> None:
        replay_id = self.some_replay(data)
        outgoing = portions.portion(replay_id, 0, ()).outgoing
        refused = [message for message in outgoing if message.dead_letter_id not in self.in_flight[replay_id]]
        replay_rows.record(replay_id, [], [(message.dead_letter_id, "no") for message in refused[:1]])

    @precondition(lambda self: self.carrying)
    @rule(data=st.data())
    def a_worker_comes_to_the_end(self, data: st.DataObject) -> None:
        """As the engine does it: what it knows is written down before it leaves."""
        replay_id = self.some_replay(data)
        worker = self.workers[self.carrying[replay_id]].pk
        replay_rows.record(replay_id, self.in_flight[replay_id], [])
        self.in_flight[replay_id] = []
        state = Replay.objects.get(pk=replay_id).state
        if replay_rows.finish(replay_id, worker, "w") or state == ReplayState.CANCELLED:
            replay_rows.clear_cancelled(replay_id, worker)
            self.leave(replay_id)

    @precondition(lambda self: self.carrying)
    @rule(data=st.data())
    def a_worker_is_killed(self, data: st.DataObject) -> None:
        replay_id = self.some_replay(data)
        Replay.objects.filter(pk=replay_id).update(lease_until=timezone.now() - timedelta(seconds=1))
        self.leave(replay_id)

    @precondition(lambda self: self.wire)
    @rule(data=st.data())
    def a_replayed_message_is_processed(self, data: st.DataObject) -> None:
        dead_letter_id, replay_id = data.draw(st.sampled_from(self.wire))
        record_processed([(str(dead_letter_id), str(replay_id))])

    @precondition(lambda self: self.wire)
    @rule(data=st.data())
    def a_replayed_message_dies_again(self, data: st.DataObject) -> None:
        dead_letter_id, replay_id = data.draw(st.sampled_from(self.wire))
        self.fail(dead_letter_id, replay_id)

    @precondition(lambda self: self.wire)
    @rule(data=st.data())
    def a_replayed_message_is_parked_again(self, data: st.DataObject) -> None:
        dead_letter_id, replay_id = data.draw(st.sampled_from(self.wire))
        self.fail(dead_letter_id, replay_id, timezone.now())

    @invariant()
    def states_only_move_along(self) -> None:
        now = self.states()
        moves = {(before, now[pk]) for pk, before in self.seen.items() if now[pk] != before}
        assert moves <= MOVES | (BY_A_DEATH if self.death else set())
        assert all(state in {"dead", "scheduled"} for pk, state in now.items() if pk not in self.seen)
        self.seen, self.death = now, False

    @invariant()
    def the_tallies_are_what_counting_gives(self) -> None:
        counted = Counter(map(tallies.cell, DeadLetter.objects.all()))
        assert tallied() == dict(counted)

    @rule()
    def tallies_are_folded(self) -> None:
        tallies.fold()
        assert LetterTally.objects.count() == len(tallied())

    @invariant()
    def an_open_item_and_the_state_of_its_dead_letter_say_the_same(self) -> None:
        states = self.states()
        open_items: dict[uuid.UUID, list[tuple[str, bool]]] = {pk: [] for pk in states}
        for item in ReplayItem.objects.filter(state__in=("waiting", "sent")):
            open_items[item.dead_letter_id].append((item.state, item.active))
        expected = {"replaying": [("waiting", True)], "sent": [("sent", False)]}
        assert open_items == {pk: expected.get(state, []) for pk, state in states.items()}
        assert not ReplayItem.objects.filter(active=True).exclude(state="waiting").exists()

    @invariant()
    def what_is_scheduled_says_when(self) -> None:
        assert not DeadLetter.objects.filter(state="scheduled", due_at=None).exists()

    @invariant()
    def every_death_is_kept_once(self) -> None:
        assert Failure.objects.count() == len(self.deaths)

    @invariant()
    def a_replay_that_has_ended_leaves_nothing_waiting(self) -> None:
        ended = Replay.objects.filter(state__in=(ReplayState.DONE, ReplayState.CANCELLED), lease_until=None)
        assert not ReplayItem.objects.filter(replay__in=ended, state="waiting").exists()
        totals = Replay.objects.annotate(items_now=Count("items")).values_list("total", "items_now")
        assert all(total == count for total, count in totals)

    def planned(self, planned: Planned) -> Planned:
        if planned.replay is not None:
            self.replays.append(planned.replay.pk)
        return planned

    def states(self) -> dict[uuid.UUID, str]:
        return dict(DeadLetter.objects.values_list("pk", "state"))

    def some_dead_letters(self) -> st.SearchStrategy[Sequence[uuid.UUID]]:
        known = self.dead_letters
        return st.lists(st.sampled_from(known), max_size=3) if known else st.just([])

    def some_replay(self, data: st.DataObject) -> int:
        return data.draw(st.sampled_from(sorted(self.carrying)))

    def leave(self, replay_id: int) -> None:
        del self.carrying[replay_id]
        del self.in_flight[replay_id]


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.django_db(transaction=True)
def test_states_move_along_and_nothing_gets_stuck_whatever_happens_in_whatever_order() -> None:
    run_state_machine_as_test(
        Life,
        settings=settings(
            max_examples=40, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )

"""A replay that goes by a plan: rate, canary, stop rule, start time, another destination, paused and resumed."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.utils import timezone

from stompconsole.deadletters import controlling, grouping, selection
from stompconsole.deadletters.outcomes import progress, record_processed
from stompconsole.deadletters.plans import Plan
from stompconsole.delivery import envelope
from stompconsole.models import (
    AuditEntry,
    Consumer,
    DeadLetter,
    LetterEdit,
    Replay,
    ReplayFlight,
    ReplayItem,
    ReplayState,
)
from tests.deadletters.engines import running_engine
from tests.deadletters.making import Captures, died, make_broker, make_consumer, make_dead_letters
from tests.support.devbroker import RunningDevBroker, running_devbroker
from tests.support.ports import free_port
from tests.support.waiting import until

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def wire() -> Iterator[RunningDevBroker]:
    with running_devbroker() as running:
        yield running


@pytest.fixture
def consumer(wire: RunningDevBroker) -> Consumer:
    return make_consumer(make_broker(port=wire.port, receipt_timeout_s=1.0))


def planned(rows: list[DeadLetter], plan: Plan) -> Replay:
    replay = selection.replay_selected([row.pk for row in rows], actor=None, plan=plan).replay
    assert replay is not None
    return replay


def wait_state(replay: Replay, state: ReplayState, timeout_s: float = 20.0) -> None:
    def is_there() -> bool:
        replay.refresh_from_db()
        return replay.state == state

    until(is_there, timeout_s, f"{replay} is {state}, {progress(replay)}")


def on_the_wire(wire: RunningDevBroker) -> list[str]:
    return [message.headers[envelope.DEAD_LETTER_ID] for message in wire.messages("/queue/orders")]


def went_well(replay: Replay, dead_letter_ids: list[str]) -> None:
    record_processed([(pk, str(replay.pk)) for pk in dead_letter_ids])


def died_again(consumer: Consumer, replay: Replay, dead_letter_id: str, **fields: str) -> None:
    headers = died(consumer=consumer.name, dead_letter_id=dead_letter_id, replay_id=str(replay.pk), **fields)
    Captures(consumer).give((headers, b""))


@pytest.mark.long
def test_it_never_goes_faster_than_its_rate(wire: RunningDevBroker, consumer: Consumer) -> None:
    replay = planned(make_dead_letters(consumer, 30), Plan(rate=10))
    began = time.monotonic()
    with running_engine():
        wait_state(replay, ReplayState.DONE)
    took_s = time.monotonic() - began
    assert took_s > 1.8, "ten are saved up at most, the others take a tenth of a second each"
    assert len(on_the_wire(wire)) == 30


@pytest.mark.long
def test_its_rate_can_be_changed_while_it_runs(wire: RunningDevBroker, consumer: Consumer) -> None:
    replay = planned(make_dead_letters(consumer, 500), Plan(rate=0.5))
    with running_engine():
        until(lambda: progress(replay).sent == 1, 10, "the first is sent")
        assert controlling.change_rate(replay.pk, None, actor=None)
        wait_state(replay, ReplayState.DONE)
    assert AuditEntry.objects.get(action="replay changed").detail == "0.5 a second -> no limit"


@pytest.mark.long
def test_a_canary_waits_for_each_step_to_come_out_well(wire: RunningDevBroker, consumer: Consumer) -> None:
    replay = planned(make_dead_letters(consumer, 20), Plan(canary=(1, 5)))
    with running_engine():
        for so_far in (1, 6):
            until(lambda so_far=so_far: len(on_the_wire(wire)) == so_far, 10, f"{so_far} are sent")
            until(lambda: replay.refresh_from_db() or "waiting for the outcome" in replay.note, 10, "it says so")
            assert len(on_the_wire(wire)) == so_far
            went_well(replay, on_the_wire(wire))
        wait_state(replay, ReplayState.DONE)
    assert len(on_the_wire(wire)) == 20
    assert replay.note == ""


@pytest.mark.long
def test_a_canary_that_fails_again_stops_the_rest(wire: RunningDevBroker, consumer: Consumer) -> None:
    replay = planned(make_dead_letters(consumer, 20), Plan(canary=(1, 5)))
    with running_engine():
        until(lambda: len(on_the_wire(wire)) == 1, 10, "the first is sent")
        died_again(consumer, replay, on_the_wire(wire)[0])
        wait_state(replay, ReplayState.STOPPED)
        assert replay.note == "stopped: 1 of 1 failed again, more than 0 %"
        until(lambda: replay.refresh_from_db() or replay.worker is None, 10, "the worker has let go of it")
    assert len(on_the_wire(wire)) == 1
    assert (progress(replay).failed_again, progress(replay).waiting) == (1, 19)
    assert AuditEntry.objects.get(action="replay stopped").detail == replay.note


@pytest.mark.long
def test_the_rest_can_be_sent_without_waiting_for_the_canary(wire: RunningDevBroker, consumer: Consumer) -> None:
    replay = planned(make_dead_letters(consumer, 10), Plan(canary=(1,)))
    with running_engine():
        until(lambda: len(on_the_wire(wire)) == 1, 10, "the first is sent")
        assert controlling.end_canary(replay.pk, actor=None)
        wait_state(replay, ReplayState.DONE)
    assert not controlling.end_canary(replay.pk, actor=None)


@pytest.mark.long
def test_one_that_fails_as_before_stops_it_and_another_failure_does_not(
    wire: RunningDevBroker, consumer: Consumer
) -> None:
    captures = Captures(consumer)
    captures.give(*((died(consumer=consumer.name, origin="/queue/orders"), b"") for _ in range(3)))
    replay = planned(list(DeadLetter.objects.all()), Plan(stop_on_same=True, rate=0.2))
    with running_engine():
        until(lambda: len(on_the_wire(wire)) == 1, 10, "the first is sent")
        first = on_the_wire(wire)[0]
        died_again(consumer, replay, first, error_type="TimeoutError")
        assert controlling.change_rate(replay.pk, 2.0, actor=None)
        until(lambda: len(on_the_wire(wire)) == 2, 10, "it has gone on")
        assert controlling.change_rate(replay.pk, 0.01, actor=None)
        died_again(consumer, replay, (set(on_the_wire(wire)) - {first}).pop())
        wait_state(replay, ReplayState.STOPPED)
    assert replay.note == "stopped: 1 failed again as before"


@pytest.mark.long
def test_what_was_stopped_goes_on_when_it_is_resumed(wire: RunningDevBroker, consumer: Consumer) -> None:
    replay = planned(make_dead_letters(consumer, 20), Plan(canary=(1,)))
    with running_engine():
        until(lambda: len(on_the_wire(wire)) == 1, 10, "the first is sent")
        died_again(consumer, replay, on_the_wire(wire)[0])
        wait_state(replay, ReplayState.STOPPED)
        assert controlling.resume_replay(replay.pk, actor=None)
        wait_state(replay, ReplayState.DONE)
    assert len(on_the_wire(wire)) == 20


@pytest.mark.long
def test_a_paused_one_sends_nothing_until_it_is_resumed(wire: RunningDevBroker, consumer: Consumer) -> None:
    replay = planned(make_dead_letters(consumer, 10), Plan(rate=2))
    with running_engine():
        until(lambda: progress(replay).sent > 0, 10, "it has begun")
        assert controlling.pause_replay(replay.pk, actor=None)
        until(lambda: replay.refresh_from_db() or replay.worker is None, 10, "the worker has let go of it")
        sent = progress(replay).sent
        assert sent < 10
        assert len(on_the_wire(wire)) == sent
        assert replay.note == "paused by the system"
        assert not controlling.pause_replay(replay.pk, actor=None), "it is paused"
        controlling.change_rate(replay.pk, None, actor=None)
        assert controlling.resume_replay(replay.pk, actor=None)
        wait_state(replay, ReplayState.DONE)
    assert len(on_the_wire(wire)) == 10, "none was sent twice"


def test_a_paused_one_can_be_cancelled(consumer: Consumer) -> None:
    rows = make_dead_letters(consumer, 2)
    replay = planned(rows, Plan())
    assert controlling.pause_replay(replay.pk, actor=None)
    assert controlling.cancel_replay(replay.pk, actor=None)
    assert set(DeadLetter.objects.values_list("state", flat=True)) == {"dead"}
    assert not controlling.resume_replay(replay.pk, actor=None)


def test_it_starts_when_its_time_has_come_and_not_before(wire: RunningDevBroker, consumer: Consumer) -> None:
    replay = planned(make_dead_letters(consumer, 1), Plan(start_at=timezone.now() + timedelta(hours=1)))
    other = planned(make_dead_letters(consumer, 1), Plan())
    with running_engine():
        wait_state(other, ReplayState.DONE)
        assert len(on_the_wire(wire)) == 1
        Replay.objects.filter(pk=replay.pk).update(start_at=timezone.now())
        wait_state(replay, ReplayState.DONE)
    assert len(on_the_wire(wire)) == 2


def test_it_goes_elsewhere_when_the_plan_says_so_even_without_an_origin(
    wire: RunningDevBroker, consumer: Consumer
) -> None:
    rows = make_dead_letters(consumer, 1) + make_dead_letters(consumer, 1, origin="")
    replay = planned(rows, Plan(destination="/queue/elsewhere"))
    with running_engine():
        wait_state(replay, ReplayState.DONE)
    assert len(wire.messages("/queue/elsewhere")) == 2
    assert progress(replay).sent == 2


def test_what_has_no_origin_goes_where_the_plan_says_and_the_others_go_back(
    wire: RunningDevBroker, consumer: Consumer
) -> None:
    rows = make_dead_letters(consumer, 1) + make_dead_letters(consumer, 1, origin="")
    replay = planned(rows, Plan(unknown_to="/queue/found"))
    with running_engine():
        wait_state(replay, ReplayState.DONE)
    assert len(wire.messages("/queue/found")) == len(wire.messages("/queue/orders")) == 1
    assert progress(replay).sent == 2


def test_an_edited_message_is_sent_as_it_was_edited(wire: RunningDevBroker, consumer: Consumer) -> None:
    (row,) = make_dead_letters(consumer, 1, headers={"color": "red"}, body=b"old")
    replay = planned([row], Plan())
    edit = LetterEdit.objects.create(dead_letter=row, headers={"color": "blue"}, body=b"new")
    ReplayItem.objects.update(edit=edit)
    with running_engine():
        wait_state(replay, ReplayState.DONE)
    (message,) = wire.messages("/queue/orders")
    assert (message.body, message.headers["color"]) == (b"new", "blue")
    row.refresh_from_db()
    assert (bytes(row.body), row.headers) == (b"old", {"color": "red"})


def test_what_a_broker_that_is_away_has_not_taken_is_not_in_doubt(consumer: Consumer) -> None:
    away = make_consumer(make_broker(port=free_port()))
    replay = planned(make_dead_letters(away, 3), Plan())
    with running_engine():
        until(lambda: replay.refresh_from_db() or "can't reach" in replay.note, 10, "it says why it waits")
        until(lambda: not ReplayFlight.objects.exists(), 10, "none is begun")
    assert not ReplayItem.objects.filter(doubtful=True).exists()


def test_an_item_remembers_what_it_had_died_of(consumer: Consumer) -> None:
    make_dead_letters(consumer, 1)
    grouping.group_the_rest()
    row = DeadLetter.objects.get()
    planned([row], Plan())
    assert ReplayItem.objects.get().group_id == row.group_id

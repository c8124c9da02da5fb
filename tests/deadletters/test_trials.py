"""Trials from the wish to the result: what is chosen, who may carry it out, and what is left when a worker dies."""

from __future__ import annotations

import asyncio
import json
import os
import threading
import uuid
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.test import override_settings
from django.utils import timezone

from stompconsole.deadletters.filters import Filters
from stompconsole.deadletters.trying import choosing, results, trial_rows
from stompconsole.deadletters.trying.choosing import OFF
from stompconsole.deadletters.trying.engine import TrialEngine
from stompconsole.deadletters.trying.process import Nursery
from stompconsole.deadletters.trying.trial_rows import ENDED_TWICE
from stompconsole.deadletters.trying.verdict import Verdict
from stompconsole.models import (
    AuditEntry,
    DeadLetter,
    DeadLetterState,
    FailureGroup,
    Trial,
    TrialItem,
    TrialItemState,
    TrialState,
)
from tests.deadletters.engines import running_engine, start_engine
from tests.deadletters.making import make_dead_letters, make_worker
from tests.deadletters.test_two_operators import at_once
from tests.deadletters.trials import SOMEBODY, allowed, consumer_of, grouped, letter_of, lives
from tests.support.waiting import until

pytestmark = pytest.mark.django_db(transaction=True)

KEY_ERROR = """Traceback (most recent call last):
  File "/team/tests/deadletters/tried.py", line 7, in fails_by_body
    raise KeyError("sku")
KeyError: 'sku'
"""


@pytest.fixture(autouse=True)
def _allowed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with allowed(monkeypatch):
        yield


def trial_of(letter: DeadLetter) -> Trial:
    trial = choosing.try_one(letter.pk, SOMEBODY).trial
    assert trial is not None
    return trial


def ended(trial: Trial, timeout_s: float = 60.0) -> Trial:
    def is_over() -> bool:
        trial.refresh_from_db()
        return trial.state in {TrialState.DONE, TrialState.CANCELLED}

    until(is_over, timeout_s, f"{trial} has ended")
    return trial


@pytest.mark.slow
def test_a_sample_of_a_group_is_told_in_one_sentence_and_changes_nothing() -> None:
    consumer = consumer_of("fails_by_body")
    bodies = [{"fails": number % 3 == 0} for number in range(9)]
    letters = [
        make_dead_letters(consumer, 1, body=json.dumps(body).encode(), error_type="KeyError", traceback=KEY_ERROR)[0]
        for body in bodies
    ]
    grouped(letters)
    group = FailureGroup.objects.get()
    trial = choosing.try_group(group, 50, SOMEBODY).trial
    assert trial is not None
    with running_engine(TrialEngine):
        ended(trial)
    result = results.result_of(trial)
    assert result.sentence == "6 of 9 would pass now; 3 still KeyError."
    assert set(trial.items.filter(same_as_before=True).values_list("state", flat=True)) == {TrialItemState.FAILED}
    assert set(DeadLetter.objects.values_list("state", "replays")) == {(DeadLetterState.DEAD, 0)}
    [started, done] = AuditEntry.objects.order_by("pk")
    assert (started.action, started.actor_name, started.data["chosen"]) == ("trial started", "somebody", 9)
    assert (done.action, done.data["passed"], done.data["failed"]) == ("trial done", 6, 3)


@pytest.mark.slow
def test_what_fails_otherwise_than_before_is_told_apart() -> None:
    trial = trial_of(letter_of("fails_otherwise"))
    with running_engine(TrialEngine):
        ended(trial)
    assert results.result_of(trial).sentence == "0 of 1 would pass now; 1 now ValueError."


@pytest.mark.slow
def test_what_hangs_is_ended_at_the_limit_of_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    with allowed(monkeypatch, TRY_SECONDS=0.5):
        trial = trial_of(letter_of("hangs"))
        with running_engine(TrialEngine):
            ended(trial)
    assert results.result_of(trial).sentence == "0 of 1 would pass now; 1 timed out."
    item = trial.items.get()
    assert (item.seconds, item.output) == (0.5, "begins to hang\n")


def test_where_one_writer_locks_out_the_others_the_limit_is_a_third_of_a_lease(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Else a handler that hangs in a transaction would cost every worker its leases.
    with allowed(monkeypatch, TRY_SECONDS=40, LEASE=6):
        assert trial_rows.limit_s() == (2.0 if trial_rows.locks_everybody_out() else 40.0)


@pytest.mark.slow
def test_one_that_is_cancelled_ends_its_handler_at_once(tmp_path: Path) -> None:
    body = json.dumps({"touch": str(tmp_path / "touched"), "gate": str(tmp_path / "gate")}).encode()
    trial = trial_of(letter_of("touches", body=body))
    servers = children(os.getpid())
    with running_engine(TrialEngine):
        until((tmp_path / "touched").exists, 60, "the handler runs")
        nurseries = [child for child in children(os.getpid()) if child not in servers]
        forks = [fork for nursery in nurseries for fork in children(nursery)]
        assert choosing.cancel(trial.pk, SOMEBODY)
        assert not choosing.cancel(trial.pk, SOMEBODY)
        until(lambda: not Trial.objects.exclude(worker=None).exists(), 20, "the lease is given back")
        assert forks
        until(lambda: not any(map(lives, forks)), 10, "the handler is ended")
    assert (ended(trial).state, trial.note) == (TrialState.CANCELLED, "cancelled by somebody")
    assert trial.items.get().state == TrialItemState.WAITING
    assert results.result_of(trial).sentence == "0 of 1 would pass now; 1 not tried any more."


@pytest.mark.slow
def test_a_worker_that_stops_leaves_it_to_the_next_as_it_was(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    body = json.dumps({"touch": str(tmp_path / "touched"), "gate": str(gate)}).encode()
    trial = trial_of(letter_of("touches", body=body))
    with running_engine(TrialEngine):
        until((tmp_path / "touched").exists, 60, "the handler runs")
    item = trial.items.get()
    assert (item.state, item.begun) == (TrialItemState.WAITING, 0)
    gate.touch()
    with running_engine(TrialEngine):
        assert ended(trial).state == TrialState.DONE
    assert trial.items.get().state == TrialItemState.PASSED


@pytest.mark.slow
def test_what_a_worker_was_killed_over_is_ended_and_tried_by_another(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    body = json.dumps({"touch": str(tmp_path / "touched"), "gate": str(gate)}).encode()
    trial = trial_of(letter_of("touches", body=body))
    with start_engine(make_worker().pk, 60.0, "tests.deadletters.trying_settings", "TrialEngine") as process:
        until((tmp_path / "touched").exists, 60, "the handler runs")
        [nursery] = children(process.pid)
        [fork] = children(nursery)
        process.kill()
        until(lambda: not lives(fork), 10, "nothing goes on without its worker")
    Trial.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    gate.touch()
    with running_engine(TrialEngine):
        assert ended(trial).state == TrialState.DONE
    assert (trial.items.get().state, trial.items.get().begun) == (TrialItemState.PASSED, 2)


def children(pid: int) -> list[int]:
    """Those that any of its threads has started."""
    found: list[int] = []
    # Threads and processes end while they are looked at.
    with suppress(FileNotFoundError, ProcessLookupError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            with suppress(FileNotFoundError, ProcessLookupError):
                found += map(int, (task / "children").read_text().split())
    return found


def test_what_has_ended_two_workers_is_not_tried_by_a_third() -> None:
    trial = trial_of(letter_of("passes"))
    TrialItem.objects.update(begun=2)
    with running_engine(TrialEngine):
        ended(trial)
    item = trial.items.get()
    assert (item.state, item.notes) == (TrialItemState.SKIPPED, [ENDED_TWICE])
    assert results.result_of(trial).sentence == "0 of 1 would pass now; 1 can't be tried."


@pytest.mark.slow
def test_where_the_process_for_it_does_not_start_the_trial_ends_with_the_reason(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DJANGO_SETTINGS_MODULE", "tests.no_such_settings")
    letters = make_dead_letters(consumer_of("passes"), 5)
    trial = choosing.try_matching(Filters(), 10, SOMEBODY).trial
    assert trial is not None
    with running_engine(TrialEngine):
        ended(trial)
    assert results.result_of(trial).sentence == f"0 of {len(letters)} would pass now; 5 can't be tried."
    assert "ended with status 1; the worker's log says more" in trial.items.first().notes[0]


def test_a_worker_that_may_not_try_takes_none() -> None:
    trial = trial_of(letter_of("passes"))
    with override_settings(STOMPCONSOLE={"POLL_INTERVAL": 0.05}), running_engine(TrialEngine):
        pass
    trial.refresh_from_db()
    assert trial.state == TrialState.WAITING
    Trial.objects.update(created_at=timezone.now() - timedelta(hours=2))
    trial_rows.purge()
    trial.refresh_from_db()
    assert (trial.state, "TRY_HANDLERS" in trial.note) == (TrialState.CANCELLED, True)


def test_nothing_is_tried_where_the_settings_do_not_allow_it() -> None:
    letter = grouped([letter_of("passes")])[0]
    with override_settings(STOMPCONSOLE={}):
        assert choosing.try_one(letter.pk, SOMEBODY).refusal == OFF
        assert choosing.try_group(FailureGroup.objects.get(), 10, SOMEBODY).refusal == OFF
        assert choosing.try_matching(Filters(), 10, SOMEBODY).refusal == OFF
    assert not Trial.objects.exists()


def test_two_clicks_make_one_trial_and_what_is_not_there_makes_none() -> None:
    letter = grouped([letter_of("passes")])[0]
    assert trial_of(letter) == trial_of(letter)
    group = FailureGroup.objects.get()
    assert choosing.try_group(group, 10, SOMEBODY).trial == choosing.try_group(group, 50, SOMEBODY).trial
    assert Trial.objects.count() == 2
    assert "no such dead letter" in choosing.try_one(uuid.uuid4(), SOMEBODY).refusal
    assert "nothing to try" in choosing.try_matching(Filters(consumer="nobody"), 10, SOMEBODY).refusal


def test_two_operators_at_once_begin_one_trial(monkeypatch: pytest.MonkeyPatch) -> None:
    letter = grouped([letter_of("passes")])[0]
    group = FailureGroup.objects.get()
    whole, together = choosing._begin, threading.Barrier(2)

    def met(*given: Any) -> choosing.Chosen:
        # Both would get here, had the second one not to wait for the first.
        with suppress(threading.BrokenBarrierError):
            together.wait(0.3)
        return whole(*given)

    monkeypatch.setattr(choosing, "_begin", met)
    one = at_once(*[lambda: choosing.try_one(letter.pk, SOMEBODY).trial] * 2)
    together.reset()
    sample = at_once(*[lambda: choosing.try_group(group, 10, SOMEBODY).trial] * 2)
    assert (len(set(one)), len(set(sample)), Trial.objects.count()) == (1, 1, 2)


def test_a_sample_has_the_newest_the_oldest_and_some_in_between() -> None:
    consumer = consumer_of("passes")
    now = timezone.now()
    letters = make_dead_letters(consumer, 60)
    for number, letter in enumerate(letters):
        DeadLetter.objects.filter(pk=letter.pk).update(failed_at=now - timedelta(minutes=number))
    place = {letter.pk: number for number, letter in enumerate(letters)}
    rows = DeadLetter.objects.all()
    found = sorted(place[pk] for pk in choosing.sample(rows, 12))
    assert len(set(found)) == 12
    assert found[:4] == [0, 1, 2, 3]
    assert found[-4:] == [56, 57, 58, 59]
    DeadLetter.objects.update(failed_at=now)
    assert len(set(choosing.sample(rows, 12))) == 12
    assert set(choosing.sample(rows, 100)) == set(place)
    assert choosing.sample(rows.none(), 5) == []


def test_what_another_worker_has_written_down_stays() -> None:
    trial = trial_of(letter_of("passes"))
    item = trial.items.get()
    trial_rows.record(item.pk, Verdict(state=TrialItemState.PASSED, output="first \0 half \ud800"))
    trial_rows.record(item.pk, Verdict(state=TrialItemState.FAILED, error_type="KeyError"))
    item.refresh_from_db()
    assert (item.state, item.output) == (TrialItemState.PASSED, "first \N{REPLACEMENT CHARACTER} half ?")


def test_old_trials_are_deleted_with_what_they_found() -> None:
    trial_of(letter_of("passes"))
    assert trial_rows.purge() == 0
    Trial.objects.update(created_at=timezone.now() - timedelta(days=8))
    assert trial_rows.purge() == 1
    assert not TrialItem.objects.exists()
    assert DeadLetter.objects.count() == 1


def test_a_nursery_that_was_never_started_is_closed_without_ado() -> None:
    asyncio.run(Nursery().close())

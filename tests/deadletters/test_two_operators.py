"""Two operators, or one who clicks twice: what both want is done once, by the constraint and not by luck."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import TypeVar

import pytest
from django.db import connection
from django.utils import timezone

from stompconsole.deadletters import controlling, selection
from stompconsole.deadletters.outcomes import record_processed
from stompconsole.deadletters.selection import Filters
from stompconsole.models import DeadLetter, Replay, ReplayItem
from tests.deadletters.making import Captures, died, make_consumer, make_dead_letters

pytestmark = pytest.mark.django_db(transaction=True)

T = TypeVar("T")


def at_once(*acts: Callable[[], T]) -> list[T]:
    """Run acts in threads that start together; their results in order. Raises what one of them raised."""
    together = threading.Barrier(len(acts))
    results: dict[int, T] = {}
    errors: list[BaseException] = []

    def run(position: int, act: Callable[[], T]) -> None:
        try:
            together.wait(10)
            results[position] = act()
        except BaseException as error:  # noqa: BLE001 - handed to the test, which raises it
            errors.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=entry) for entry in enumerate(acts)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    if errors:
        raise errors[0]
    return [results[position] for position in range(len(acts))]


def state_counts() -> dict[str, int]:
    states = list(DeadLetter.objects.values_list("state", flat=True))
    return {state: states.count(state) for state in set(states)}


@pytest.mark.parametrize("round_", range(3))
def test_a_double_click_replays_each_once(round_: int) -> None:
    ids = [row.pk for row in make_dead_letters(make_consumer(), 40)]
    planned = at_once(*[lambda: selection.replay_selected(ids, actor=None)] * 4)
    assert sum(plan.chosen for plan in planned) == 40
    assert sum(plan.replay is not None for plan in planned) == Replay.objects.count()
    assert ReplayItem.objects.count() == 40
    assert state_counts() == {"replaying": 40}


def test_overlapping_choices_are_shared_out() -> None:
    ids = [row.pk for row in make_dead_letters(make_consumer(), 60)]
    choices: list[Sequence[object]] = [ids[:40], list(reversed(ids[20:])), ids[10:50]]
    planned = at_once(*[lambda chosen=chosen: selection.replay_selected(chosen, actor=None) for chosen in choices])
    assert sum(plan.chosen for plan in planned) == 60
    assert all(plan.chosen + plan.skipped == 40 for plan in planned)
    assert state_counts() == {"replaying": 60}


def test_replaying_and_discarding_the_same_at_once_does_one_of_them_to_each() -> None:
    make_dead_letters(make_consumer(), 80)
    as_of = timezone.now()
    at_once(
        lambda: selection.replay_matching(Filters(), as_of=as_of, expected_count=80, actor=None).chosen,
        lambda: selection.discard_matching(Filters(), as_of=as_of, expected_count=80, actor=None).count,
        lambda: selection.replay_matching(Filters(text="sku"), as_of=as_of, expected_count=80, actor=None).chosen,
    )
    counts = state_counts()
    assert sum(counts.values()) == 80
    assert counts.get("replaying", 0) == ReplayItem.objects.filter(active=True).count()
    assert set(counts) <= {"replaying", "discarded"}


@pytest.mark.long
def test_outcomes_deaths_and_a_cancel_at_once_leave_every_row_in_one_state() -> None:
    consumer = make_consumer()
    rows = make_dead_letters(consumer, 60)
    replay = selection.replay_selected([row.pk for row in rows], actor=None).replay
    assert replay is not None
    deaths = [(died(dead_letter_id=str(row.pk), replay_id=str(replay.pk)), b"again") for row in reversed(rows[20:])]
    pairs = [(str(row.pk), str(replay.pk)) for row in rows[:40]]
    at_once(
        lambda: record_processed(pairs),
        lambda: len(Captures(consumer).give(*deaths)),
        lambda: controlling.cancel_replay(replay.pk, actor=None),
        lambda: record_processed(pairs[::-1]),
    )
    counts = state_counts()
    assert sum(counts.values()) == 60
    assert set(counts) <= {"dead", "processed"}
    assert not ReplayItem.objects.filter(active=True).exists()


def test_two_captures_of_the_same_dead_letters_store_each_once() -> None:
    consumer = make_consumer()
    messages = [(died(), b"x") for _ in range(30)]
    at_once(
        lambda: len(Captures(consumer).give(*messages)),
        lambda: len(Captures(consumer).give(*messages[::-1])),
    )
    assert DeadLetter.objects.count() == 30

"""Writing down on PostgreSQL that messages of a replay are sent: one statement, whatever else happens to them."""

from __future__ import annotations

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection, transaction
from django.utils import timezone

from stompconsole.deadletters import grouping, selection, tallies, transitions
from stompconsole.models import DeadLetter, Replay, ReplayItem, lookups
from tests.deadletters.making import make_consumer, make_dead_letters, tallied
from tests.support.waiting import until

pytestmark = [pytest.mark.usefixtures("postgres_rows"), pytest.mark.django_db(transaction=True)]

LIMIT_S = 20.0


def counted() -> Counter[tallies.Cell]:
    """What the tallies ought to say."""
    return Counter(map(tallies.cell, DeadLetter.objects.exclude(group=None)))


def replay_of(letters: list[DeadLetter]) -> Replay:
    replay = selection.replay_selected([letter.pk for letter in letters], actor=None).replay
    assert replay is not None
    return replay


def grouped(count: int) -> list[DeadLetter]:
    letters = make_dead_letters(make_consumer(), count)
    while grouping.group_the_rest():
        pass
    return letters


def mark_in_thread(replay: Replay, letters: list[DeadLetter]) -> int:
    try:
        return transitions.mark_sent(replay.pk, [letter.pk for letter in letters], timezone.now())
    finally:
        connection.close()


def somebody_waits() -> bool:
    """Whether another session waits for this one's locks."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pid FROM pg_locks WHERE NOT granted AND pg_backend_pid() = ANY(pg_blocking_pids(pid))")
        return cursor.fetchone() is not None


def test_an_outcome_that_is_written_while_a_receipt_waits_for_it_wins() -> None:
    letters = grouped(6)
    replay = replay_of(letters)
    handled = letters[3]
    with ThreadPoolExecutor(1) as other:
        with transaction.atomic():
            assert transitions.mark_processed([(handled.pk, replay.pk)], timezone.now()) == 1
            marked = other.submit(mark_in_thread, replay, letters)
            until(somebody_waits, LIMIT_S, "the receipt waits for the outcome")
        assert marked.result(LIMIT_S) == 5
    handled.refresh_from_db()
    assert (handled.state, handled.replays) == ("processed", 1)
    assert Counter(ReplayItem.objects.values_list("state", flat=True)) == {"sent": 5, "processed": 1}
    assert Counter(DeadLetter.objects.values_list("state", "replays")) == {("sent", 1): 5, ("processed", 1): 1}
    assert tallied() == counted()


def test_a_late_receipt_of_one_replay_does_not_mark_what_waits_in_another() -> None:
    letters = grouped(3)
    first = replay_of(letters)
    transitions.skip_waiting(first.pk, "cancelled", timezone.now())
    second = replay_of(letters[:2])
    assert transitions.mark_sent(first.pk, [letter.pk for letter in letters], timezone.now()) == 0
    assert Counter(DeadLetter.objects.values_list("state", flat=True)) == {"replaying": 2, "dead": 1}
    assert second.items.filter(state="waiting", active=True).count() == 2
    assert tallied() == counted()


def test_receipts_in_opposite_order_and_outcomes_at_once_end_without_a_deadlock() -> None:
    letters = grouped(60)
    replay = replay_of(letters)
    pairs = [(letter.pk, replay.pk) for letter in letters]
    together = threading.Barrier(3)

    def act(number: int) -> int:
        together.wait(LIMIT_S)
        try:
            if number == 2:
                return transitions.mark_processed(pairs[10:50], timezone.now())
            return transitions.mark_sent(replay.pk, [pk for pk, _ in pairs[:: (1, -1)[number]]], timezone.now())
        finally:
            connection.close()

    with ThreadPoolExecutor(3) as pool:
        first, second, processed = pool.map(act, range(3), timeout=LIMIT_S)
    assert processed == 40
    assert 20 <= first + second <= 60
    assert Counter(DeadLetter.objects.values_list("state", "replays")) == {("sent", 1): 20, ("processed", 1): 40}
    assert not ReplayItem.objects.filter(active=True).exists()
    assert tallied() == counted()


def test_what_has_just_been_made_is_found_by_id_though_there_are_no_statistics_yet() -> None:
    letters = grouped(3_000)
    replay = replay_of(letters)
    given = {"ids": lookups.array_of(letter.pk for letter in letters[:20]), "replay": replay.pk}
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN {transitions._SENT}", {**given, "now": timezone.now()})
        plan = "\n".join(line for (line,) in cursor.fetchall())
    conditions = [line.strip() for line in plan.splitlines() if "Index Cond" in line]
    assert len(conditions) == 3, plan
    assert all("id = ANY" in condition and "replay_id" not in condition for condition in conditions), plan
    assert "Seq Scan" not in plan, plan

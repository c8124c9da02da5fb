"""Outcomes of replays: the one that is known first wins, whatever is written later."""

from __future__ import annotations

import uuid

import pytest
from django.utils import timezone

from stompconsole.deadletters import selection, transitions
from stompconsole.deadletters.outcomes import Progress, progress, record_processed
from stompconsole.delivery import envelope
from stompconsole.models import Consumer, DeadLetter, DeadLetterState, Failure, Replay, ReplayItem, ReplayItemState
from tests.deadletters.making import Captures, died, make_consumer, make_dead_letters

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def consumer() -> Consumer:
    return make_consumer()


@pytest.fixture
def row(consumer: Consumer) -> DeadLetter:
    return make_dead_letters(consumer, 1)[0]


def replayed(row: DeadLetter) -> Replay:
    replay = selection.replay_selected([row.pk], actor=None).replay
    assert replay is not None
    return replay


def sent(row: DeadLetter, replay: Replay) -> int:
    return transitions.mark_sent(replay.pk, [row.pk], timezone.now())


def die(row: DeadLetter, replay: Replay | None, consumer: Consumer) -> None:
    replay_id = str(replay.pk) if replay else ""
    headers = died(dead_letter_id=str(row.pk), replay_id=replay_id, error_type="Again")
    assert Captures(consumer).give((headers, b"again")) == [0]


def state_of(row: DeadLetter) -> str:
    row.refresh_from_db()
    return row.state


def test_a_replayed_message_that_is_processed_says_so(row: DeadLetter) -> None:
    replay = replayed(row)
    sent(row, replay)
    assert state_of(row) == DeadLetterState.SENT
    assert record_processed([(str(row.pk), str(replay.pk))]) == 1
    assert state_of(row) == DeadLetterState.PROCESSED
    assert row.replays == 1
    item = ReplayItem.objects.get()
    assert (item.state, item.active) == (ReplayItemState.PROCESSED, False)
    assert item.outcome_at is not None


def test_processed_wins_over_a_receipt_that_is_written_later(row: DeadLetter) -> None:
    replay = replayed(row)
    record_processed([(str(row.pk), str(replay.pk))])
    assert sent(row, replay) == 0
    assert state_of(row) == DeadLetterState.PROCESSED
    assert row.replays == 1
    assert ReplayItem.objects.get().state == ReplayItemState.PROCESSED


def test_outcomes_that_are_repeated_unknown_or_malformed_change_nothing(row: DeadLetter) -> None:
    replay = replayed(row)
    sent(row, replay)
    pair = (str(row.pk), str(replay.pk))
    odd = [("", ""), ("x", "y"), (str(row.pk), "9" * 40), (str(row.pk), str(replay.pk + 1)), (str(uuid.uuid4()), "1")]
    assert record_processed([*odd, (str(row.pk), "-1"), (str(row.pk), "²")]) == 0
    assert state_of(row) == DeadLetterState.SENT
    assert record_processed([pair, pair]) == 1
    assert record_processed([pair]) == 0
    assert record_processed([]) == 0


@pytest.mark.long
def test_many_outcomes_are_recorded_at_once(consumer: Consumer) -> None:
    rows = make_dead_letters(consumer, 1_200)
    replay = selection.replay_selected([row.pk for row in rows], actor=None).replay
    assert replay is not None
    assert record_processed([(str(row.pk), str(replay.pk)) for row in rows]) == 1_200
    assert progress(replay) == Progress(total=1_200, processed=1_200)


def test_a_replayed_message_that_dies_again_is_dead_with_its_newest_failure(
    row: DeadLetter, consumer: Consumer
) -> None:
    replay = replayed(row)
    sent(row, replay)
    die(row, replay, consumer)
    assert state_of(row) == DeadLetterState.DEAD
    assert (row.error_type, row.attempts, bytes(row.body), row.replays) == ("Again", 3, b"again", 1)
    assert Failure.objects.filter(dead_letter=row).count() == 1
    assert progress(replay) == Progress(total=1, failed_again=1)
    assert ReplayItem.objects.get().outcome_at is not None


def test_a_death_wins_over_a_receipt_that_is_written_later(row: DeadLetter, consumer: Consumer) -> None:
    replay = replayed(row)
    die(row, replay, consumer)
    assert sent(row, replay) == 0
    assert state_of(row) == DeadLetterState.DEAD
    assert row.replays == 1
    assert replayed(row).pk != replay.pk, "it can be replayed once more"


def test_a_copy_of_an_older_replay_decides_nothing_while_a_later_one_is_under_way(
    row: DeadLetter, consumer: Consumer
) -> None:
    first = replayed(row)
    sent(row, first)
    die(row, first, consumer)
    second = replayed(row)
    die(row, first, consumer)
    assert state_of(row) == DeadLetterState.REPLAYING
    sent(row, second)
    die(row, None, consumer)
    assert state_of(row) == DeadLetterState.SENT
    assert record_processed([(str(row.pk), str(first.pk))]) == 0
    assert Failure.objects.filter(dead_letter=row).count() == 3, "every death is kept"
    record_processed([(str(row.pk), str(second.pk))])
    assert state_of(row) == DeadLetterState.PROCESSED


def test_a_message_that_dies_after_it_was_processed_is_seen_again(row: DeadLetter, consumer: Consumer) -> None:
    replay = replayed(row)
    sent(row, replay)
    record_processed([(str(row.pk), str(replay.pk))])
    die(row, replay, consumer)
    assert state_of(row) == DeadLetterState.DEAD
    assert ReplayItem.objects.get().state == ReplayItemState.PROCESSED


def test_a_discarded_message_that_dies_again_is_seen_again(row: DeadLetter, consumer: Consumer) -> None:
    selection.discard_selected([row.pk], actor=None)
    die(row, None, consumer)
    assert state_of(row) == DeadLetterState.DEAD


def test_the_newest_of_several_deaths_in_one_batch_stands(row: DeadLetter, consumer: Consumer) -> None:
    replay = replayed(row)
    sent(row, replay)
    headers = [died(dead_letter_id=str(row.pk), replay_id=str(replay.pk), error_type=name) for name in ("One", "Two")]
    headers[0][envelope.FAILED_AT] = "2026-02-02T00:00:00+00:00"
    Captures(consumer).give(*[(each, each[envelope.ERROR_TYPE].encode()) for each in headers])
    assert state_of(row) == DeadLetterState.DEAD
    assert (row.error_type, bytes(row.body)) == ("One", b"One")
    assert progress(replay).failed_again == 1


def test_a_death_that_is_captured_after_a_newer_one_is_kept_as_a_failure_alone(
    row: DeadLetter, consumer: Consumer
) -> None:
    newer = {**died(dead_letter_id=str(row.pk), error_type="Newer"), envelope.FAILED_AT: timezone.now().isoformat()}
    older = {**died(dead_letter_id=str(row.pk), error_type="Older"), envelope.FAILED_AT: "2026-02-02T00:00:00+00:00"}
    captures = Captures(consumer)
    captures.give((newer, b"newer"))
    captures.give((older, b"older"))
    assert state_of(row) == DeadLetterState.DEAD
    assert (row.error_type, bytes(row.body)) == ("Newer", b"newer")
    assert set(Failure.objects.filter(dead_letter=row).values_list("error_type", flat=True)) == {"Newer", "Older"}


def test_a_clock_that_is_behind_hides_no_death_of_a_replay(row: DeadLetter, consumer: Consumer) -> None:
    replay = replayed(row)
    sent(row, replay)
    again = died(dead_letter_id=str(row.pk), replay_id=str(replay.pk), error_type="Again")
    Captures(consumer).give(({**again, envelope.FAILED_AT: "2026-01-01T00:00:00+00:00"}, b"again"))
    assert (state_of(row), row.error_type) == (DeadLetterState.DEAD, "Again")
    assert progress(replay).failed_again == 1

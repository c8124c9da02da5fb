"""Retention: what nobody can bring back any more goes, in portions, and nothing that is dead."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from stompconsole.deadletters import grouping, retention, selection
from stompconsole.deadletters.retention import Purged
from stompconsole.models import AuditEntry, Consumer, DeadLetter, DeadLetterState, Failure, ReplayItem
from tests.deadletters.making import make_consumer, make_dead_letters, tallied

pytestmark = pytest.mark.django_db(transaction=True)


def test_discarded_ones_go_after_their_undo_and_processed_ones_after_a_month(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(retention, "ROWS_PER_TRANSACTION", 2)
    now = timezone.now()
    for state, days, count in [
        (DeadLetterState.DISCARDED, 8, 5),
        (DeadLetterState.DISCARDED, 6, 1),
        (DeadLetterState.PROCESSED, 31, 3),
        (DeadLetterState.PROCESSED, 29, 1),
        (DeadLetterState.DEAD, 900, 1),
        (DeadLetterState.SENT, 900, 1),
    ]:
        make_dead_letters(None, count, state=state, state_at=now - timedelta(days=days))
    assert retention.purge(now) == Purged(discarded=5, processed=3)
    assert sorted(DeadLetter.objects.values_list("state", flat=True)) == ["dead", "discarded", "processed", "sent"]
    assert retention.purge() == Purged(discarded=0, processed=0)


def test_a_dead_letter_goes_with_its_failures_and_its_place_in_replays() -> None:
    row = make_dead_letters(make_consumer(), 1)[0]
    Failure.objects.create(pk=row.pk, dead_letter=row, at=timezone.now())
    selection.replay_selected([row.pk], actor=None)
    DeadLetter.objects.update(state=DeadLetterState.PROCESSED, state_at=timezone.now() - timedelta(days=40))
    assert retention.purge().processed == 1
    assert not Failure.objects.exists()
    assert not ReplayItem.objects.exists()


def test_the_setting_decides_how_long_a_discard_can_be_undone(settings: pytest.FixtureRequest) -> None:
    settings.STOMPCONSOLE = {"DISCARD_AFTER": 60}  # type: ignore[attr-defined]
    old = timezone.now() - timedelta(seconds=61)
    row = make_dead_letters(None, 1, state=DeadLetterState.DISCARDED, state_at=old)[0]
    assert selection.undo_discard([row.pk], actor=None).refusal
    assert retention.purge().discarded == 1


def old_and_new(count: int = 6, **limits: int) -> Consumer:
    """A consumer with a dead letter of each of the last days, the bodies ten bytes each."""
    consumer = make_consumer(**limits)
    now = timezone.now()
    for days in range(count):
        make_dead_letters(consumer, 1, failed_at=now - timedelta(days=days, seconds=1), message_id=str(days))
    while grouping.group_the_rest():
        pass
    return consumer


def left() -> list[str]:
    return sorted(DeadLetter.objects.values_list("message_id", flat=True))


@pytest.mark.parametrize(
    ("limits", "kept"),
    [
        ({"keep_days": 3}, ["0", "1", "2"]),
        ({"keep_count": 2}, ["0", "1"]),
        ({"keep_count": 0}, []),
        ({"keep_bytes": 45}, ["0", "1", "2", "3"]),
        ({"keep_bytes": 60}, ["0", "1", "2", "3", "4", "5"]),
        ({"keep_days": 5, "keep_count": 4, "keep_bytes": 30}, ["0", "1", "2"]),
        ({}, ["0", "1", "2", "3", "4", "5"]),
    ],
)
def test_a_consumer_keeps_so_many_days_messages_and_bytes_the_newest(limits: dict[str, int], kept: list[str]) -> None:
    old_and_new(**limits)
    make_dead_letters(make_consumer(), 1, failed_at=timezone.now() - timedelta(days=900), message_id="another's")
    assert retention.purge().limited == 6 - len(kept)
    assert left() == [*kept, "another's"]
    assert sum(tallied().values()) == len(kept), "the other one has no group yet"
    assert AuditEntry.objects.count() == int(len(kept) < 6)
    assert retention.purge().limited == 0


def test_what_is_being_replayed_is_not_purged() -> None:
    old_and_new(keep_count=0)
    DeadLetter.objects.filter(message_id="5").update(state=DeadLetterState.REPLAYING)
    DeadLetter.objects.filter(message_id="4").update(state=DeadLetterState.SENT)
    retention.purge()
    assert left() == ["4", "5"]

"""Retention: what nobody can bring back any more goes, in portions, and nothing that is dead."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from stompconsole.deadletters import retention, selection
from stompconsole.deadletters.retention import Purged
from stompconsole.models import DeadLetter, DeadLetterState, Failure, ReplayItem
from tests.deadletters.making import make_consumer, make_dead_letters

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

"""Discarding, and bringing back, more than one transaction is to hold."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from django.db import connection
from django.db.models import QuerySet
from django.utils import timezone

from stompconsole.audit import Action
from stompconsole.deadletters import freezing, selection, transitions
from stompconsole.deadletters.filters import Filters
from stompconsole.deadletters.selection import Discarded
from stompconsole.models import AuditEntry, DeadLetter, DeadLetterState
from tests.deadletters.making import make_consumer, make_dead_letters

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.rows]


@pytest.fixture(autouse=True)
def rows(monkeypatch: pytest.MonkeyPatch) -> list[DeadLetter]:
    """Ten, of which four are acted on in one go."""
    monkeypatch.setattr(freezing, "PORTION", 4)
    return make_dead_letters(make_consumer(), 10)


def discard(expected_count: int = 10) -> Discarded:
    return selection.discard_matching(Filters(), as_of=timezone.now(), expected_count=expected_count, actor=None)


def count_of(state: DeadLetterState) -> int:
    return DeadLetter.objects.filter(state=state).count()


def audited(action: Action) -> list[str]:
    return list(AuditEntry.objects.filter(action=action).values_list("target", flat=True))


def test_others_may_write_between_the_portions(monkeypatch: pytest.MonkeyPatch) -> None:
    portions: list[tuple[int, bool]] = []
    whole = transitions.discard

    def watched(rows: QuerySet[DeadLetter], *rest: object) -> int:
        portions.append((rows.count(), not connection.savepoint_ids))
        return whole(rows, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(transitions, "discard", watched)
    assert discard().count == 10
    assert portions == [(4, True), (4, True), (2, True)], "each in a transaction of its own"
    assert count_of(DeadLetterState.DISCARDED) == 10
    assert audited(Action.DISCARDED) == ["10 dead letters"]


def test_they_are_brought_back_as_one_act() -> None:
    done = discard()
    undone = selection.undo_discard_of(done.at, actor=None)
    assert (undone.count, undone.refusal) == (10, "")
    assert count_of(DeadLetterState.DEAD) == 10
    assert audited(Action.DISCARD_UNDONE) == ["10 dead letters"]
    assert selection.undo_discard_of(done.at, actor=None).refusal


def test_an_undo_that_comes_too_late_changes_and_records_nothing() -> None:
    discard()
    long_ago = timezone.now() - timedelta(days=8)
    DeadLetter.objects.update(state_at=long_ago)
    assert selection.undo_discard_of(long_ago, actor=None).refusal
    assert count_of(DeadLetterState.DISCARDED) == 10
    assert audited(Action.DISCARD_UNDONE) == []


def test_what_broke_off_is_in_the_audit_and_can_be_undone(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = transitions.discard
    calls = iter(range(10))

    def broken(rows: QuerySet[DeadLetter], *rest: object) -> int:
        if next(calls) == 1:
            raise OSError("the power went")
        return whole(rows, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(transitions, "discard", broken)
    with pytest.raises(OSError, match="power"):
        discard()
    assert count_of(DeadLetterState.DISCARDED) == 4
    entry = AuditEntry.objects.get(action=Action.DISCARDED)
    at = DeadLetter.objects.filter(state=DeadLetterState.DISCARDED).values_list("state_at", flat=True)[0]
    assert entry.data["at"] == at.isoformat()
    assert selection.undo_discard_of(at, actor=None).count == 4


def test_more_than_were_counted_are_left_alone() -> None:
    assert discard(expected_count=9).refusal
    assert count_of(DeadLetterState.DEAD) == 10
    assert audited(Action.DISCARDED) == []


def test_what_went_meanwhile_is_left_out(monkeypatch: pytest.MonkeyPatch, rows: list[DeadLetter]) -> None:
    whole = selection.slice_of

    def late(found: QuerySet[DeadLetter], most: int | None) -> object:
        ids = whole(found, most)
        # Another one replays it, it dies again, after what was chosen was counted.
        DeadLetter.objects.filter(pk=rows[3].pk).update(state_at=timezone.now() + timedelta(seconds=1))
        return ids

    monkeypatch.setattr(selection, "slice_of", late)
    done = discard()
    assert (done.count, done.skipped) == (9, 1)
    assert DeadLetter.objects.get(state=DeadLetterState.DEAD).pk == rows[3].pk


def slices(as_of: datetime, most: int = 3) -> list[Discarded]:
    """All of it, slice by slice."""
    found: list[Discarded] = []
    while not found or found[-1].left:
        found.append(
            selection.discard_matching(
                Filters(),
                as_of=as_of,
                expected_count=10 - sum(each.count for each in found),
                actor=None,
                going_on=found[-1].at if found else None,
                most=most,
            )
        )
    return found


def test_slices_are_one_act_with_one_entry_and_one_undo() -> None:
    found = slices(timezone.now())
    assert [(each.count, each.left, each.skipped) for each in found] == [(3, 7, 0), (3, 4, 0), (3, 1, 0), (1, 0, 0)]
    assert len({each.at for each in found}) == 1
    assert audited(Action.DISCARDED) == ["10 dead letters"]
    undone = [selection.undo_discard_of(found[0].at, actor=None, most=6)]
    undone.append(selection.undo_discard_of(found[0].at, actor=None, most=6, going_on=undone[0].at))
    assert [(each.count, each.left) for each in undone] == [(6, 4), (4, 0)]
    assert audited(Action.DISCARD_UNDONE) == ["10 dead letters"]
    assert count_of(DeadLetterState.DEAD) == 10


def test_what_dies_between_two_slices_is_not_part_of_it(rows: list[DeadLetter]) -> None:
    as_of = timezone.now()
    first = selection.discard_matching(Filters(), as_of=as_of, expected_count=10, actor=None, most=5)
    make_dead_letters(rows[0].consumer, 2)
    rest = selection.discard_matching(Filters(), as_of=as_of, expected_count=5, actor=None, going_on=first.at)
    assert (rest.count, rest.left) == (5, 0)
    assert count_of(DeadLetterState.DEAD) == 2


def test_an_act_that_is_stopped_says_so_and_keeps_its_undo() -> None:
    done = selection.discard_matching(Filters(), as_of=timezone.now(), expected_count=10, actor=None, most=4)
    assert selection.stop_discarding(done.at, of=10, actor=None) == 4
    assert audited(Action.DISCARD_STOPPED) == ["4 of 10 dead letters were"]
    assert selection.undo_discard_of(done.at, actor=None).count == 4


@pytest.mark.parametrize("off_s", [-7 * 3600, 60])
def test_an_act_that_can_t_have_begun_then_is_a_new_one(off_s: int) -> None:
    now = timezone.now()
    claimed = now + timedelta(seconds=off_s)
    done = selection.discard_matching(
        Filters(), as_of=now - timedelta(hours=9), expected_count=10, actor=None, going_on=claimed
    )
    assert done.refusal, "nothing has been dead for so long"
    done = selection.discard_matching(Filters(), as_of=now, expected_count=10, actor=None, going_on=claimed)
    assert done.at >= now
    assert audited(Action.DISCARDED) == ["10 dead letters"]

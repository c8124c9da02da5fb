"""What an operator does with retries: send now, cancel, and take it back; each once and in the audit."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from stompconsole.deadletters import due, freezing, scheduling, selection, transitions
from stompconsole.deadletters.filters import Filters, preview
from stompconsole.deadletters.scheduling import Chosen, Rescheduled
from stompconsole.models import AuditEntry, DeadLetter, DeadLetterState, Replay, ReplayItem
from tests.deadletters.making import make_consumer, make_dead_letters, tallied
from tests.deadletters.test_two_operators import at_once

pytestmark = pytest.mark.django_db(transaction=True)


def scheduled(count: int, **fields: object) -> list[DeadLetter]:
    at = timezone.now() + timedelta(hours=1)
    return make_dead_letters(make_consumer(), count, state="scheduled", due_at=at, retry_step=1, **fields)


def states() -> list[str]:
    return sorted(DeadLetter.objects.values_list("state", flat=True))


def chosen(rows: list[DeadLetter]) -> Chosen:
    return Chosen(ids=tuple(row.pk for row in rows))


def test_what_is_sent_now_is_a_replay_of_who_asked_for_it() -> None:
    rows = scheduled(2) + make_dead_letters(make_consumer(), 1)
    done = scheduling.send_now(chosen(rows), actor=None)
    assert (done.count, done.skipped) == (2, 1)
    assert states() == ["dead", "replaying", "replaying"]
    assert done.replay is not None
    assert (done.replay.scheduled, done.replay.total) == (True, 2)
    entry = AuditEntry.objects.get()
    assert (entry.action, entry.data["replay"]) == ("retries sent now", done.replay.pk)


def test_what_is_cancelled_stays_as_a_dead_letter_and_can_be_scheduled_anew() -> None:
    rows = scheduled(2)
    done = scheduling.cancel(chosen(rows), actor=None)
    assert (done.count, states()) == (2, ["dead", "dead"])
    due.gather(timezone.now() + timedelta(hours=2))
    assert not Replay.objects.exists(), "it is not sent any more"

    assert scheduling.undo_cancel(done.at, actor=None).count == 2
    assert states() == ["scheduled", "scheduled"]
    assert {row.due_at for row in DeadLetter.objects.all()} == {rows[0].due_at}
    assert list(AuditEntry.objects.order_by("pk").values_list("action", flat=True)) == [
        "retries cancelled",
        "retries scheduled anew",
    ]


@pytest.mark.rows
def test_very_many_are_cancelled_and_brought_back_some_in_a_transaction(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(freezing, "PORTION", 4)
    portions: list[tuple[str, int, bool]] = []

    def watched(name: str) -> Callable[..., int]:
        whole: Callable[..., int] = getattr(transitions, name)

        def act(*given: Any) -> int:
            portions.append((name, count := whole(*given), not connection.savepoint_ids))
            return count

        return act

    for name in ("cancel_scheduled", "undo_cancel"):
        monkeypatch.setattr(transitions, name, watched(name))
    scheduled(10)
    seen = preview(Filters(), DeadLetterState.SCHEDULED)
    done = scheduling.cancel(Chosen(filters=Filters(), as_of=seen.as_of, count=seen.count), actor=None)
    assert (done.count, scheduling.undo_cancel(done.at, actor=None).count) == (10, 10)
    assert portions == [(name, count, True) for name in ("cancel_scheduled", "undo_cancel") for count in (4, 4, 2)]
    assert states() == ["scheduled"] * 10
    assert list(AuditEntry.objects.order_by("pk").values_list("target", flat=True)) == [
        "10 retries, dead letters",
        "10 retries",
    ]


def test_slices_are_one_act_with_one_entry_and_one_undo() -> None:
    scheduled(7)
    as_of, found = timezone.now(), list[Rescheduled]()
    while not found or found[-1].left:
        left = 7 - sum(each.count for each in found)
        wanted = Chosen(filters=Filters(), as_of=as_of, count=left)
        at = found[-1].at if found else None
        found.append(scheduling.cancel(wanted, actor=None, going_on=at, most=3))
    assert [(each.count, each.left, each.skipped) for each in found] == [(3, 4, 0), (3, 1, 0), (1, 0, 0)]
    assert {each.at for each in found} == {found[0].at}
    undone = [scheduling.undo_cancel(found[0].at, actor=None, most=4)]
    undone.append(scheduling.undo_cancel(found[0].at, actor=None, most=4, going_on=undone[0].at))
    assert [(each.count, each.left) for each in undone] == [(4, 3), (3, 0)]
    assert states() == ["scheduled"] * 7
    assert list(AuditEntry.objects.order_by("pk").values_list("action", "target")) == [
        ("retries cancelled", "7 retries, dead letters"),
        ("retries scheduled anew", "7 retries"),
    ]


def test_what_is_scheduled_between_two_slices_is_not_cancelled_with_them() -> None:
    scheduled(4)
    as_of = timezone.now()
    first = scheduling.cancel(Chosen(filters=Filters(), as_of=as_of, count=4), actor=None, most=2)
    scheduled(1)
    rest = Chosen(filters=Filters(), as_of=as_of, count=2)
    assert scheduling.cancel(rest, actor=None, going_on=first.at, most=2).left == 0
    assert states() == ["dead"] * 4 + ["scheduled"]


def test_what_was_sent_and_waits_again_since_it_was_counted_is_not_cancelled() -> None:
    again, other = scheduled(2)
    seen = preview(Filters(), DeadLetterState.SCHEDULED)
    chosen_then = Chosen(filters=Filters(), as_of=seen.as_of, count=seen.count)
    DeadLetter.objects.filter(pk=again.pk).update(state_at=timezone.now() + timedelta(seconds=1))
    done = scheduling.cancel(chosen_then, actor=None)
    assert (done.count, done.skipped) == (1, 1)
    assert DeadLetter.objects.get(state="dead").pk == other.pk


def test_a_cancel_is_not_undone_once_something_else_was_done() -> None:
    rows = scheduled(2)
    done = scheduling.cancel(chosen(rows), actor=None)
    selection.discard_selected([rows[0].pk], actor=None)
    assert scheduling.undo_cancel(done.at, actor=None).count == 1
    assert "Nothing to undo" in scheduling.undo_cancel(done.at, actor=None).refusal
    assert states() == ["discarded", "scheduled"]


def test_what_was_cancelled_and_is_replayed_by_a_person_begins_afresh() -> None:
    rows = scheduled(1)
    scheduling.cancel(chosen(rows), actor=None)
    replay = selection.replay_selected([rows[0].pk], actor=None).replay
    assert replay is not None
    assert not replay.scheduled


def test_all_that_match_are_those_that_were_counted() -> None:
    scheduled(3)
    seen = preview(Filters(), DeadLetterState.SCHEDULED)
    assert seen.count == 3
    scheduled(1)
    matching = Chosen(filters=Filters(), as_of=seen.as_of, count=seen.count)
    assert scheduling.cancel(matching, actor=None).count == 3
    assert states() == ["dead", "dead", "dead", "scheduled"]


@pytest.mark.parametrize("act", [scheduling.send_now, scheduling.cancel])
def test_more_than_was_counted_is_left_alone(act: object) -> None:
    scheduled(3)
    matching = Chosen(filters=Filters(), as_of=timezone.now(), count=1)
    done: Rescheduled = act(matching, actor=None)  # type: ignore[operator]
    assert "Nothing was changed" in done.refusal
    assert states() == ["scheduled"] * 3
    assert not Replay.objects.exists()
    assert not AuditEntry.objects.exists()


@pytest.mark.parametrize("act", [scheduling.send_now, scheduling.cancel])
def test_what_is_not_scheduled_any_more_is_said(act: object) -> None:
    rows = make_dead_letters(make_consumer(), 1)
    done: Rescheduled = act(chosen(rows), actor=None)  # type: ignore[operator]
    assert "None of them is scheduled any more" in done.refusal
    assert not Replay.objects.exists()


def test_a_retry_that_is_due_while_it_is_cancelled_or_sent_now_is_one_or_the_other() -> None:
    rows = make_dead_letters(make_consumer(), 30, state="scheduled", due_at=timezone.now())
    picked = chosen(rows)
    at_once(
        due.gather,
        lambda: scheduling.cancel(picked, actor=None),
        lambda: scheduling.send_now(picked, actor=None),
        due.gather,
    )
    due.gather()
    assert set(states()) <= {"dead", "replaying"}
    assert ReplayItem.objects.count() == states().count("replaying")


def test_the_tallies_follow() -> None:
    row = scheduled(1)[0]
    from stompconsole.deadletters import grouping

    grouping.group_the_rest()
    done = scheduling.cancel(chosen([row]), actor=None)
    assert {cell.state: count for cell, count in tallied().items()} == {"dead": 1}
    scheduling.undo_cancel(done.at, actor=None)
    assert {cell.state: count for cell, count in tallied().items()} == {"scheduled": 1}

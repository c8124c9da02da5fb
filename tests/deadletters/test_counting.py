"""Counts and heaps for pages, as counting the rows would give them."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from stompconsole.deadletters import counting, grouping, selection, tending
from stompconsole.deadletters.counting import By, Counts
from stompconsole.deadletters.filters import NONE, Filters
from stompconsole.deadletters.tending import Care
from stompconsole.models import AuditEntry, DeadLetter, DeadLetterState, Expected, FailureGroup
from tests.deadletters.making import Captures, died, make_consumer, make_dead_letters

pytestmark = pytest.mark.django_db(transaction=True)

DAY = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def _some() -> None:
    orders, mail = make_consumer(name="orders"), make_consumer(name="mail")
    make_dead_letters(orders, 5, worker="w:1", failed_at=DAY)
    make_dead_letters(orders, 2, error_type="TimeoutError", worker="w:2", failed_at=DAY + timedelta(days=1))
    make_dead_letters(orders, 1, state=DeadLetterState.DISCARDED, worker="w:1", failed_at=DAY)
    make_dead_letters(mail, 3, origin="", failed_at=DAY)
    make_dead_letters(None, 1, consumer_name="gone", failed_at=DAY)
    while grouping.group_the_rest():
        pass


FILTERS = [
    Filters(),
    Filters(state="dead"),
    Filters(consumer="orders"),
    Filters(consumer="gone"),
    Filters(consumer="unheard-of"),
    Filters(error_type="TimeoutError"),
    Filters(worker="w:1"),
    Filters(worker=NONE),
    Filters(origin=NONE),
    Filters(origin="/queue/orders", consumer="orders"),
    Filters(day="2026-03-01"),
    Filters(day="yesterday"),
    Filters(group="x"),
    Filters(text="sku"),
    Filters(text="attempts:many"),
    Filters(failed_after="2026-03-02"),
]


@pytest.mark.usefixtures("_some")
@pytest.mark.parametrize("filters", FILTERS, ids=str)
def test_counts_by_state_are_what_counting_the_rows_gives(filters: Filters) -> None:
    rows = replace(filters, state="").queryset()
    counted = Counter(rows.values_list("state", flat=True))
    assert counting.by_state(filters) == Counts(by_state=dict(counted))


@pytest.mark.usefixtures("_some")
@pytest.mark.parametrize("few", [0, 5_000], ids=["by time", "by group"])
@pytest.mark.parametrize("filters", FILTERS, ids=str)
def test_a_list_narrowed_by_the_tallies_is_the_same_list(
    filters: Filters, few: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counting, "FEW", few)
    assert list(counting.narrowed(filters.queryset(), filters)) == list(filters.queryset())


@pytest.mark.usefixtures("_some")
def test_what_there_is_none_of_is_not_looked_for() -> None:
    filters = Filters(error_type="TimeoutError", state="processed")
    assert counting.narrowed(filters.queryset(), filters).query.is_empty()


@pytest.mark.usefixtures("_some")
def test_what_has_no_group_yet_is_in_the_list_all_the_same() -> None:
    make_dead_letters(make_consumer(name="late"), 1, error_type="TimeoutError", failed_at=DAY + timedelta(days=9))
    filters = Filters(error_type="TimeoutError")
    assert len(counting.narrowed(filters.queryset(), filters)) == 3


@pytest.mark.usefixtures("_some")
@pytest.mark.parametrize("by", list(By))
def test_each_heap_leads_to_exactly_what_it_counts(by: By) -> None:
    heaps = counting.heaps(Filters(), by)
    assert not heaps.more
    assert sum(heap.dead for heap in heaps.rows) == DeadLetter.objects.filter(state="dead").count()
    assert [heap.dead for heap in heaps.rows] == sorted((heap.dead for heap in heaps.rows), reverse=True)
    for heap in heaps.rows:
        rows = heap.filters.queryset()
        assert (rows.filter(state="dead").count(), rows.count()) == (heap.dead, heap.total), heap.label


@pytest.mark.usefixtures("_some")
def test_heaps_come_by_the_page_and_keep_the_filters() -> None:
    first = counting.heaps(Filters(consumer="orders"), By.ERROR, size=1)
    second = counting.heaps(Filters(consumer="orders"), By.ERROR, size=1, page=1)
    assert (first.more, second.more) == (True, False)
    assert [heap.dead for heap in (*first.rows, *second.rows)] == [5, 2]
    [line] = counting.heaps(Filters(consumer="orders"), By.DAY, size=1).rows
    assert line.filters == Filters(consumer="orders", day="2026-03-01")


def test_a_search_that_finds_very_many_is_counted_up_to_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counting, "MOST_COUNTED", 5)
    make_dead_letters(None, 9)
    counts = counting.by_state(Filters(text="sku"))
    assert (counts.total, counts.complete) == (6, False)


def test_a_group_has_its_deaths_by_the_hour_and_its_last_replay() -> None:
    consumer = make_consumer()
    now = timezone.now()
    ages = (0, 0, 1, 23, 30)
    Captures(consumer).give(*((died(failed_at=now - timedelta(hours=age)), b"") for age in ages))
    replay = selection.replay_selected(DeadLetter.objects.values_list("pk", flat=True)[:1], actor=None).replay
    [heap] = counting.heaps(Filters(), By.ERROR, now=now).rows
    assert heap.group is not None
    assert heap.group.last_replay == replay
    assert (heap.hours[-1], heap.hours[-2], heap.hours[0], sum(heap.hours)) == (2, 1, 1, 4)


def test_what_is_said_of_a_group_is_kept_and_audited_with_what_it_was() -> None:
    Captures(make_consumer()).give((died(), b""))
    group = FailureGroup.objects.get()
    user = User.objects.create_user("ann")
    until = timezone.now() + timedelta(days=1)
    care = Care(owner=user, note="fix in 4.2", ticket="https://tickets/1", snoozed_until=until)
    assert tending.tend(group.pk, care, actor=user) == {}
    assert tending.care_of(FailureGroup.objects.get()) == care
    entry = AuditEntry.objects.get(action="failure group changed")
    assert (entry.actor, entry.data["changes"]["note"]) == (user, ["", "fix in 4.2"])
    assert tending.tend(group.pk, care, actor=user) == {}
    assert AuditEntry.objects.filter(action="failure group changed").count() == 1, "nothing was changed"
    assert counting.snoozed(timezone.now()) == 1


def test_a_ticket_that_is_no_link_is_refused_and_nothing_is_changed() -> None:
    Captures(make_consumer()).give((died(), b""))
    group = FailureGroup.objects.get()
    told = tending.tend(group.pk, Care(ticket="javascript:alert(1)", expected=Expected.DISCARD), actor=None)
    assert list(told) == ["ticket"]
    group.refresh_from_db()
    assert (group.ticket, group.expected) == ("", "")


def test_a_consumer_with_the_name_of_a_deleted_one_has_groups_of_its_own() -> None:
    first = make_consumer(name="orders")
    Captures(first).give((died(consumer="orders"), b""))
    first.delete()
    second = make_consumer(name="orders")
    Captures(second).give((died(consumer="orders"), b""))
    assert sorted(group.consumer is None for group in FailureGroup.objects.all()) == [False, True]
    assert counting.by_state(Filters(consumer="orders")).total == 1

"""Rows of what was handled well: one a second, JSON alone, thinned out with age, gone when they are not wanted."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from django.test import override_settings
from django.utils import timezone
from hypothesis import given, settings
from hypothesis import strategies as st

from stompconsole.conf import Settings
from stompconsole.deadletters import samples
from stompconsole.deadletters.samples import KEPT, NEWEST_KEPT, surplus
from stompconsole.delivery.sampling import MOST_BYTES, Sample
from stompconsole.models import Consumer, HandledSample
from stompconsole.worker import housekeeping
from stompconsole.worker.registry import Registry
from tests.deadletters.making import make_consumer, make_worker

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def sample(body: bytes | None = b'{"sku": 1}', *, at: datetime = NOW, **headers: str) -> Sample:
    return Sample(at=at, origin="/queue/orders", headers=headers, body=body, size=len(body or b""))


@pytest.mark.django_db
def test_headers_and_json_are_stored_and_nothing_of_any_other_body() -> None:
    consumer = make_consumer()
    bodies = [b'{"a": [1]}', b"secret words", b"\xff\xfe", b'"\\u0000"', b"[" * 100_000, b"", None]
    found = [sample(body, at=NOW + timedelta(seconds=each), n=str(each)) for each, body in enumerate(bodies)]
    samples.store({consumer.pk: found})
    rows = HandledSample.objects.order_by("at")
    assert [row.document for row in rows] == [{"a": [1]}, None, None, None, None, None, None]
    assert [row.headers["n"] for row in rows] == [str(each) for each in range(len(bodies))]
    assert {row.origin for row in rows} == {"/queue/orders"}
    assert "secret" not in json.dumps(list(rows.values("headers", "document", "origin")))


@pytest.mark.django_db
@override_settings(STOMPCONSOLE={"REDACT": ["x-token"]})
def test_what_a_rule_names_is_not_in_a_sample() -> None:
    consumer = make_consumer(redact="$.card.number")
    body = b'{"card": {"number": "4111111111111111", "kind": "visa"}}'
    samples.store({consumer.pk: [sample(body, **{"x-token": "hunter2", "n": "1"})]})
    [row] = HandledSample.objects.all()
    assert row.document["card"]["kind"] == "visa"
    assert row.headers["n"] == "1"
    kept = json.dumps([row.headers, row.document])
    assert "4111" not in kept
    assert "hunter2" not in kept


@pytest.mark.django_db
def test_with_a_rule_that_can_not_be_read_nothing_is_sampled() -> None:
    samples.store({make_consumer(redact="$.[").pk: [sample()]})
    assert not HandledSample.objects.exists()


@pytest.mark.django_db
@pytest.mark.parametrize(("setting", "field"), [(False, True), (True, False)])
def test_where_bodies_are_not_stored_samples_have_headers_alone(setting: bool, field: bool) -> None:
    with override_settings(STOMPCONSOLE={"STORE_BODIES": setting}):
        samples.store({make_consumer(store_body=field).pk: [sample(n="1")]})
    [row] = HandledSample.objects.all()
    assert (row.document, row.headers) == (None, {"n": "1"})


@pytest.mark.django_db
def test_what_no_column_holds_is_mended_and_a_body_at_the_limit_fits() -> None:
    consumer = make_consumer()
    body = b'"' + b"x" * (MOST_BYTES - 2) + b'"'
    samples.store({consumer.pk: [sample(body, odd="a\0b\ud800")]})
    [row] = HandledSample.objects.all()
    assert row.headers == {"odd": "a\N{REPLACEMENT CHARACTER}b?"}
    assert len(row.document) == MOST_BYTES - 2


@pytest.mark.django_db(transaction=True)
def test_of_one_second_one_is_kept_whoever_comes_with_another() -> None:
    one, other = make_consumer(), make_consumer()
    samples.store({one.pk: [sample(at=NOW + timedelta(milliseconds=5))], other.pk: [sample()]})
    samples.store({one.pk: [sample(at=NOW + timedelta(milliseconds=900)), sample(at=NOW + timedelta(seconds=1))]})
    assert Counter(HandledSample.objects.values_list("consumer", flat=True)) == {one.pk: 2, other.pk: 1}


@pytest.mark.django_db(transaction=True)
def test_samples_of_a_deleted_consumer_are_left_out_and_go_with_it() -> None:
    gone, there = make_consumer(), make_consumer()
    samples.store({gone.pk: [sample()]})
    pk = gone.pk
    Consumer.objects.filter(pk=pk).delete()
    assert not HandledSample.objects.exists()
    samples.store({pk: [sample()], there.pk: [sample()]})
    assert list(HandledSample.objects.values_list("consumer", flat=True)) == [there.pk]


def kept(ages_s: list[int]) -> list[datetime]:
    rows = list(enumerate(sorted((NOW - timedelta(seconds=age) for age in ages_s), reverse=True)))
    gone = {pk for pk, _ in surplus(rows, NOW)}
    return [at for pk, at in rows if pk not in gone]


DAYS_40 = 40 * 86_400


@pytest.mark.long
@settings(max_examples=40, deadline=None)
@given(
    st.sets(st.integers(0, DAYS_40), max_size=400) | st.integers(1, 90).map(lambda step: set(range(0, 90_000, step)))
)
def test_the_newest_are_kept_and_of_older_ones_a_few_of_each_span(ages_s: set[int]) -> None:
    ages = sorted(ages_s)
    left = kept(ages)
    newest = [NOW - timedelta(seconds=age) for age in ages[:NEWEST_KEPT]]
    assert left[: len(newest)] == newest
    older = left[len(newest) :]
    assert all(at > NOW - KEPT[-1][0] for at in older)
    hours = Counter(at.replace(minute=0, second=0) for at in older)
    assert all(count <= 10 for count in hours.values())
    assert len(left) <= NEWEST_KEPT + 10 * 73 + 27 * 24 + 1
    assert kept([int((NOW - at).total_seconds()) for at in left]) == left, "what was thinned out stays as it is"


def fill(consumer: Consumer, count: int, step: timedelta, now: datetime) -> None:
    rows = [
        HandledSample(consumer=consumer, at=(now - step * each).replace(microsecond=0), headers={}, size=1, origin="")
        for each in range(count)
    ]
    HandledSample.objects.bulk_create(rows)


@pytest.mark.django_db
def test_purging_thins_out_each_consumer_by_itself_and_leaves_few_as_they_are() -> None:
    now = timezone.now()
    busy, idle = make_consumer(), make_consumer()
    fill(busy, 1_500, timedelta(seconds=2), now)
    fill(idle, 100, timedelta(days=2), now)
    assert samples.purge(now) > 1_200
    assert 200 <= busy.samples.count() <= 210
    assert idle.samples.count() == 100
    assert samples.purge(now) == 0


@pytest.mark.django_db
@pytest.mark.parametrize(("wanted", "left"), [(True, 1), (False, 0)])
def test_where_sampling_is_switched_off_what_was_kept_is_swept_away(wanted: bool, left: int) -> None:
    samples.store({make_consumer().pk: [sample()]})
    housekeeping.sweep(Registry(make_worker().pk), Settings(sample_handled=wanted))
    assert HandledSample.objects.count() == left

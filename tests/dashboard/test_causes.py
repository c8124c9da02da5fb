"""The page of a failure group: what sets it apart, what happened just before it began, and where each line leads."""

from __future__ import annotations

import json
import time
from datetime import timedelta
from typing import Any
from unittest import mock

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from stompconsole import audit
from stompconsole.audit import Action
from stompconsole.deadletters import apart
from stompconsole.models import Consumer, DeadLetter, DeadLetterState, FailureGroup, HandledSample
from tests.dashboard import rows
from tests.dashboard.reading import elements, html, text
from tests.deadletters.making import make_dead_letters

URL = "/console/groups/"


def handled(consumer: Consumer, count: int, *, ago: timedelta = timedelta(minutes=1), **changes: Any) -> None:
    """Samples of messages that were handled well, a second apart."""
    now = timezone.now().replace(microsecond=0) - ago
    HandledSample.objects.bulk_create(
        HandledSample(
            consumer=consumer,
            at=now - timedelta(seconds=each),
            origin="/queue/orders",
            headers={"message-id": str(each), "team": "a", "content-length": "9"},
            document={"sku": f"A-{each % 7}", "qty": each % 3, **changes},
            size=30,
        )
        for each in range(count)
    )


def dead(consumer: Consumer, count: int, headers: dict[str, str] | None = None, **changes: Any) -> FailureGroup:
    """Dead letters of one group."""
    for each in range(count):
        document = {"sku": f"A-{each % 7}", "qty": each % 3, **changes}
        body = json.dumps({name: value for name, value in document.items() if value is not ...}).encode()
        ours = {"message-id": f"d{each}", "stompconsole-worker": "w:1"}
        rows.make_letter(consumer, body=body, ago_s=60 + each, headers={"team": "a", **ours, **(headers or {})})
    return FailureGroup.objects.get()


def page(client: Client, group: FailureGroup) -> str:
    return text(client.get(f"{URL}{group.pk}/"))


def test_what_sets_it_apart_is_told_with_the_counts_behind_it(client: Client) -> None:
    orders = rows.make_consumer(name="orders")
    handled(orders, 200)
    found = page(client, dead(orders, 41, sku=...))
    assert "sku missing 41 of 41 here, 0 of 160 handled" in found
    assert "41 dead letters against 160 messages that were handled well in the same period." in found
    assert "message-id" not in found
    assert "header" not in found.split("Just before")[0].split("What sets it apart")[1]


def test_each_feature_leads_to_the_dead_letters_that_have_it(client: Client) -> None:
    orders = rows.make_consumer(name="orders")
    handled(orders, 50)
    group = dead(orders, 12, {"tenant": "a b"}, region="mars & co", tries=3)
    dead(orders, 2)
    response = client.get(f"{URL}{group.pk}/")
    links = {link["href"] for link in elements(response, "a", title="Dead letters of this group with it")}
    assert links, "the clearest one has a link"
    for href in links:
        assert "12 shown" in text(client.get(href)) or text(client.get(href)).count("KeyError: 'sku'") >= 12


@pytest.mark.parametrize(
    ("headers", "changes", "term"),
    [
        ({"tenant": "a b"}, {}, "header:tenant"),
        ({"team": "b c"}, {}, 'header:"team=b c"'),
        ({}, {"region": "mars"}, "json:region"),
        ({}, {"qty": "many & more"}, ""),
        ({}, {"sku": "B-9"}, "json:sku=B-9"),
        ({}, {"qty": 77}, "json:qty=77"),
        ({}, {"qty": -1.5}, "json:qty=-1.5"),
        ({}, {"a.b": 1}, ""),
        ({}, {'say "x"': 1}, ""),
    ],
)
def test_a_term_finds_just_those_and_what_no_term_can_say_has_no_link(
    client: Client, headers: dict[str, str], changes: dict[str, Any], term: str
) -> None:
    orders = rows.make_consumer(name="orders")
    handled(orders, 50)
    group = dead(orders, 12, headers, **changes)
    dead(orders, 2)
    response = client.get(f"{URL}{group.pk}/")
    links = elements(response, "a", title="Dead letters of this group with it")
    assert len(links) == bool(term)
    for link in links:
        listed = client.get(link["href"])
        assert f"mentioning “{term}”" in text(listed)
        assert len(elements(listed, "tr", **{"data-row": ""})) == 12


def test_what_is_shown_is_text_however_hostile(client: Client) -> None:
    orders = rows.make_consumer(name="orders")
    handled(orders, 50)
    group = dead(orders, 12, {rows.HOSTILE: rows.HOSTILE}, **{rows.HOSTILE: rows.HOSTILE})
    found = html(client.get(f"{URL}{group.pk}/"))
    assert "&lt;script&gt;" in found
    assert rows.HOSTILE not in found


def test_without_samples_it_says_why_and_what_to_do(client: Client, settings: Any) -> None:
    orders = rows.make_consumer(name="orders")
    group = dead(orders, 3)
    assert "no worker has handled a message of orders well" in page(client, group)
    settings.STOMPCONSOLE = {"SAMPLE_HANDLED": False}
    assert 'STOMPCONSOLE["SAMPLE_HANDLED"] is off. Switch it on' in page(client, group).replace("&quot;", '"')
    orders.delete()
    assert "Its consumer was deleted" in page(client, group)


def test_too_few_and_no_difference_are_said_apart(client: Client) -> None:
    orders = rows.make_consumer(name="orders")
    handled(orders, 3)
    group = dead(orders, 1, sku=...)
    assert "Too few messages to tell a difference from chance" in page(client, group)
    handled(orders, 100, ago=timedelta(minutes=2))
    dead(orders, 30)
    group = FailureGroup.objects.get()
    DeadLetter.objects.filter(document__sku=None).delete()
    assert "more likely in what the handler meets" in page(client, group)


def test_samples_of_another_time_are_used_and_that_is_said(client: Client) -> None:
    orders = rows.make_consumer(name="orders")
    handled(orders, 40, ago=timedelta(days=3))
    handled(orders, 5)
    found = page(client, dead(orders, 20, sku=...))
    assert "sku missing 20 of 20 here, 0 of 45 handled" in found
    assert "hardly any of the same period is kept, these are the nearest" in found


def test_samples_of_the_period_are_preferred(client: Client) -> None:
    orders = rows.make_consumer(name="orders")
    handled(orders, 400, ago=timedelta(days=3), region="old")
    handled(orders, 30, region="new")
    found = page(client, dead(orders, 20, region="new"))
    assert "against 30 messages that were handled well in the same period" in found
    assert "region" not in found.split("Just before")[0].split("What sets it apart")[1]


def test_what_happened_just_before_is_told_and_else_that_nothing_is_known(client: Client) -> None:
    orders = rows.make_consumer(name="orders")
    group = dead(orders, 2)
    assert "Nothing is known of the hour before" in page(client, group)
    fields = {"actor": None, "actor_name": "ada", "consumer": orders, "detail": "handler: a -> b"}
    # The clock is put back: an entry that is there can't be changed.
    with mock.patch("django.utils.timezone.now", return_value=group.first_failed_at - timedelta(minutes=3)):
        audit.record(Action.CONSUMER_CHANGED, "consumer orders", **fields)
    found = page(client, group)
    assert "3 min before The definition of orders was edited by ada: handler changed from a to b" in found


def test_the_period_and_the_states_of_a_large_group_are_covered_by_its_sample(client: Client) -> None:
    orders = rows.make_consumer(name="orders")
    handled(orders, 60)
    group = dead(orders, 1)
    now = timezone.now()
    for step, state in enumerate([DeadLetterState.DEAD] * 8 + [DeadLetterState.DISCARDED] * 2):
        at = now - timedelta(hours=10 - step)
        make_dead_letters(
            orders, 100, group=group, state=state, failed_at=at, day=at.date(), body=json.dumps({"step": step}).encode()
        )
    group.first_failed_at = now - timedelta(hours=10)
    group.last_failed_at = now
    counts = {DeadLetterState.DEAD: 801, DeadLetterState.DISCARDED: 200}
    chosen = apart._chosen(group, counts)
    assert len(chosen) <= apart.MOST_LETTERS + 2 * apart.FEWEST
    steps = set(DeadLetter.objects.filter(pk__in=chosen).values_list("document__step", flat=True))
    assert len(steps - {None}) >= 7, "from its beginning to its end, whatever their state"
    states = set(DeadLetter.objects.filter(pk__in=chosen).values_list("state", flat=True))
    assert states == {"dead", "discarded"}
    found = apart.of_group(group, counts)
    assert found.letters < found.of_letters == 1_001


def test_large_bodies_are_looked_into_in_part_only() -> None:
    sized = [(each, 60_000) for each in range(200)]
    assert len(apart._within(sized)) == apart.FEWEST
    assert len(apart._within([(each, 300) for each in range(200)])) == 200
    assert len(apart._within([(each, 10_000_000) for each in range(200)])) == 200, "those are not read"


@pytest.mark.long
@pytest.mark.django_db
def test_the_reads_are_few_whatever_the_size_of_the_group(client: Client) -> None:
    orders = rows.make_consumer(name="orders")
    handled(orders, 200)
    group = dead(orders, 1)
    make_dead_letters(orders, 2_000, group=group, body=json.dumps({f"k{n}": n for n in range(60)}).encode())
    from stompconsole.deadletters import tallies
    from stompconsole.deadletters.tallies import cell

    letters = list(DeadLetter.objects.all())
    tallies.add({cell(letters[-1]): len(letters) - 1})
    with CaptureQueriesContext(
        connection,
    ) as queries:
        started = time.process_time()
        found = page(client, group)
        took = time.process_time() - started
    assert "A sample of" in found
    assert len(queries) < 45
    assert took < 2.0, "far from what a calm machine needs"

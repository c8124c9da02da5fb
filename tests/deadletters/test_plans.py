"""Plans as operators type them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stompconsole.deadletters import plans
from stompconsole.deadletters.plans import PLAIN, Plan


def test_nothing_typed_is_the_plain_plan() -> None:
    assert plans.read({}) == plans.ReadPlan(plan=PLAIN, problems={})
    assert PLAIN.describe() == ""


def test_a_full_plan_is_read() -> None:
    read = plans.read(
        {
            "destination": "/queue/orders.retry",
            "rate": "200",
            "canary": "1, 5 25",
            "stop_above": "10 %".replace(" ", ""),
            "stop_on_same": "on",
            "start_at": "2026-11-23T22:00+00:00",
        }
    )
    assert read.problems == {}
    assert read.plan == Plan(
        destination="/queue/orders.retry",
        rate=200.0,
        canary=(1, 5, 25),
        stop_above_percent=10.0,
        stop_on_same=True,
        start_at=datetime(2026, 11, 23, 22, tzinfo=UTC),
    )
    assert read.plan.describe() == (
        "to /queue/orders.retry, at most 200 a second, first 1, then 5, then 25, stopping above 10 % failed again,"
        " stopping when one fails as before, from 2026-11-23 22:00 on"
    )


@pytest.mark.parametrize(
    ("field", "text"),
    [
        ("rate", "fast"),
        ("rate", "0"),
        ("rate", "-1"),
        ("rate", "nan"),
        ("rate", "inf"),
        ("rate", "1000000"),
        ("canary", "1, few"),
        ("canary", "0"),
        ("canary", "1 2 3 4 5 6 7 8 9 10 11"),
        ("canary", "99999999"),
        ("stop_above", "100"),
        ("stop_above", "-1"),
        ("stop_above", "some"),
        ("start_at", "tomorrow"),
        ("start_at", "2026-02-30T00:00"),
        ("destination", "/queue/"),
        ("destination", "/queue/a b"),
    ],
)
def test_what_makes_no_sense_is_told_by_field_with_what_is_allowed(field: str, text: str) -> None:
    problems = plans.read({field: text}).problems
    assert list(problems) == [field]
    assert text in problems[field]


@given(st.dictionaries(st.sampled_from(["rate", "canary", "stop_above", "start_at", "destination"]), st.text()))
def test_any_text_is_read_without_an_error(query: dict[str, str]) -> None:
    plans.read(query)

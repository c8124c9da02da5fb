"""The search box: its grammar, what each term finds, and that a slip finds nothing."""

from __future__ import annotations

import json
import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stompconsole.deadletters import searching, storable
from stompconsole.deadletters.filters import Filters
from stompconsole.deadletters.searching import Term
from stompconsole.models import DeadLetter, FailureGroup
from tests.deadletters.making import make_dead_letters

pytestmark = pytest.mark.django_db(transaction=True)


def found(text: str, **fields: str) -> set[str]:
    return set(Filters(text=text, **fields).queryset().values_list("message_id", flat=True))


def make(name: str, body: Any = None, **fields: Any) -> DeadLetter:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return make_dead_letters(None, 1, message_id=name, body=data, **fields)[0]


@pytest.fixture
def _some() -> None:
    make("sku", {"order": {"id": 4711, "lines": [{"sku": "A-17"}]}, "vip": True}, headers={"color": "red"}, attempts=1)
    make("text", {"order": {"id": "4711"}, "note": None}, headers={"color": "blue", "x-y.z": "1"}, attempts=3)
    make(
        "late",
        b"<xml/>",
        headers={},
        error_type="TimeoutError",
        error_message="POST ledger: A-17",
        attempts=9,
        replays=2,
    )


@pytest.mark.usefixtures("_some")
@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("", {"sku", "text", "late"}),
        ("a-17", {"sku", "late"}),
        ("body:A-17", {"sku"}),
        ("error:A-17", {"late"}),
        ("error:timeout", {"late"}),
        ("error:'sku'", {"sku", "text"}),
        ("header:color=red", {"sku"}),
        ("header:color=re", set()),
        ("header:color", {"sku", "text"}),
        ("header:x-y.z=1", {"text"}),
        ("json:order.id=4711", {"sku", "text"}),
        ("json:order.id=471", set()),
        ("json:$.order.lines[0].sku=A-17", {"sku"}),
        ("json:order.lines.0.sku=A-17", {"sku"}),
        ("json:vip=true", {"sku"}),
        ("json:note", {"text"}),
        ("json:note=null", {"text"}),
        ("json:vip", {"sku"}),
        ("attempts:>=3", {"text", "late"}),
        ("attempts:3", {"text"}),
        ("replayed:yes", {"late"}),
        ("replayed:no", {"sku", "text"}),
        ("replayed:>=3", set()),
        ("id:late", {"late"}),
        ('error:"POST ledger"', {"late"}),
        ("header:color=red json:vip=true a-17", {"sku"}),
        ("header:color=red json:vip=false", set()),
        ("POST ledger: A", {"late"}),
    ],
)
def test_each_term_finds_what_it_says(text: str, names: set[str]) -> None:
    assert found(text) == names


@pytest.mark.usefixtures("_some")
@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("attempts:many", "attempts:many is no number"),
        ("replayed:maybe", "replayed:maybe can't be read"),
        ("header:=x", "names no header"),
        ("json:=x", "names no path"),
        ("json:a..b=1", "names no path"),
        ("json:" + ".".join("a" * 30) + "=1", "at most 20 steps"),
    ],
)
def test_what_can_not_be_read_finds_nothing_and_is_told(text: str, told: str) -> None:
    assert found(text) == set()
    assert told in " ".join(Filters(text=text).problems())


@pytest.mark.usefixtures("_some")
@pytest.mark.parametrize("field", ["group", "failed_after", "failed_before"])
def test_a_filter_that_can_not_be_read_finds_nothing_and_is_told(field: str) -> None:
    filters = Filters(**{field: "x'; drop table"})
    assert not filters.queryset().exists()
    assert "x'; drop table" in " ".join(filters.problems())


def test_the_time_of_the_failure_is_bounded_by_dates_and_by_spans() -> None:
    now = timezone.now()
    make("old", failed_at=now - timedelta(days=3))
    make("new", failed_at=now - timedelta(minutes=5))
    assert found("", failed_after="1h") == {"new"}
    assert found("", failed_before="1h") == {"old"}
    assert found("", failed_after=(now - timedelta(days=4)).isoformat(), failed_before="2d") == {"old"}
    assert found("", failed_after=f"{now - timedelta(days=1):%Y-%m-%d}") == {"new"}


def test_a_group_a_worker_and_an_origin_narrow_it() -> None:
    now = timezone.now()
    fields = {"consumer_name": "o", "error_type": "E", "first_failed_at": now, "last_failed_at": now}
    group = FailureGroup.objects.create(key="k", **fields)
    make("one", group=group, worker="w:1", origin="/queue/a")
    make("two", worker="w:2", origin="/queue/b")
    assert found("", group=str(group.pk)) == {"one"}
    assert found("", worker="w:2") == {"two"}
    assert found("", origin="/queue/a") == {"one"}


def test_an_id_is_found_as_it_is() -> None:
    row = make("one")
    make("two")
    assert found(str(row.pk)) == {"one"}
    assert found(f"id:{row.pk}") == {"one"}
    assert found(f"id:{uuid.uuid4()}") == set()


def test_words_and_terms_are_told_apart() -> None:
    assert searching.parse('timeout header:x="a b" of  ledger') == (
        Term(name="header", value="x=a b"),
        Term(name="words", value="timeout of ledger"),
    )
    assert searching.parse("http://x:80 shader:1") == (Term(name="words", value="http://x:80 shader:1"),)
    assert searching.parse("  ") == ()


@pytest.mark.parametrize(
    "body",
    [b"", b"no json", b'{"a": NaN}', b'{"a": "\\u0000"}', b'{"a": "\\ud800"}', b"[" * 100_000, b"\xff", b"null"],
)
def test_what_is_no_json_that_a_column_can_hold_has_no_document(body: bytes) -> None:
    assert storable.document(body, 1_000_000) is None


def test_a_large_body_has_no_document() -> None:
    assert storable.document(b'"' + b"x" * 100 + b'"', 50) is None
    assert storable.document('{"ü": ["😀", "\\ud83d\\ude00"]}'.encode(), 50) == {"ü": ["😀", "😀"]}


@pytest.mark.long
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(max_size=60) | st.from_regex(r"(json|header|attempts|body):[\w.=\[\]\"'$%\\-]{0,20}", fullmatch=True))
def test_any_search_is_answered(text: str) -> None:
    filters = Filters.from_query({"text": text})
    assert set(filters.queryset().values_list("pk", flat=True)) is not None
    filters.problems()

"""What sets one heap of messages apart from another, by examples and as properties."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stompconsole.deadletters import features
from stompconsole.deadletters.contrasts import MOST_TOLD, contrasts, in_words
from stompconsole.deadletters.features import ITEM, Kind, Message, traits, written


def message(document: Any = None, headers: Mapping[str, str] | None = None, **fields: Any) -> Message:
    return Message(**{"headers": headers or {}, "document": document, "size": 7, "origin": "/queue/orders", **fields})


def order(number: int, **changes: Any) -> dict[str, Any]:
    made = {"order": number, "sku": f"A-{number % 90}", "qty": number % 3, "region": ("eu", "us", "asia")[number % 3]}
    return {name: value for name, value in {**made, **changes}.items() if value is not ...}


def told(here: list[Message], there: list[Message]) -> list[str]:
    return [in_words(each) for each in contrasts(here, there)]


GOOD = [message(order(number)) for number in range(200)]


@pytest.mark.long
@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"sku": ...}, "`sku` missing: 410 of 410 here, 0 of 200 handled"),
        ({"region": "mars"}, '`region` = `"mars"`: 410 of 410 here, 0 of 200 handled'),
        ({"qty": "3"}, "`qty` is text, not a number: 410 of 410 here, 0 of 200 handled"),
        ({"qty": None}, "`qty` is null, not a number: 410 of 410 here, 0 of 200 handled"),
        ({"rebate": 0.1}, "`rebate` present: 410 of 410 here, 0 of 200 handled"),
        ({"region": "eu"}, '`region` = `"eu"`: 410 of 410 here, 67 of 200 handled'),
    ],
)
def test_the_difference_is_told_in_words_with_its_counts(changes: dict[str, Any], words: str) -> None:
    assert told([message(order(number, **changes)) for number in range(410)], GOOD) == [words]


def test_headers_origin_and_bodies_that_are_no_json_are_told() -> None:
    good = [message(order(number), {"tenant": "a", "trace": str(number)}) for number in range(100)]

    def bad(**fields: Any) -> list[Message]:
        return [message(**{"document": order(number), "headers": {"tenant": "a"}, **fields}) for number in range(30)]

    assert "header `trace` missing: 30 of 30 here, 0 of 100 handled" in told(bad(), good)
    assert told(bad(headers={"tenant": "b", "trace": "x"}), good)[0].startswith("header `tenant` = `b`: 30 of 30")
    assert told(bad(headers={"tenant": "a", "trace": "", "debug": "1"}), good)[0].startswith("header `debug` present")
    assert told(bad(headers={"tenant": "a", "trace": "1"}, origin="/queue/old"), good)[0].startswith(
        "from `/queue/old`"
    )
    assert "the body is not JSON: 30 of 30 here, 0 of 100 handled" in told(bad(document=None), good)
    assert "the body is empty: 30 of 30 here, 0 of 100 handled" in told(bad(document=None, size=0), good)
    assert "the body is a list, not an object: 30 of 30 here, 0 of 100 handled" in told(
        bad(document=[1], headers={"tenant": "a", "trace": "1"}), good
    )


def test_what_lacks_in_one_item_of_a_list_is_missing() -> None:
    whole = {"lines": [{"sku": "a", "price": 1}, {"sku": "b", "price": 2}]}
    lacking = {"lines": [{"sku": "a", "price": 1}, {"price": 2}]}
    assert told([message(lacking)] * 20, [message(whole)] * 50) == [
        "`lines[].sku` missing: 20 of 20 here, 0 of 50 handled"
    ]


def test_what_is_beneath_something_missing_is_not_told_again() -> None:
    whole = {"id": 1, "customer": {"id": 7, "address": {"city": "x"}}}
    assert told([message({"id": 1})] * 20, [message(whole)] * 50) == [
        "`customer` missing: 20 of 20 here, 0 of 50 handled"
    ]
    assert told([message(whole)] * 20, [message({"id": 1})] * 50) == [
        "`customer` present: 20 of 20 here, 0 of 50 handled"
    ]


def test_what_holds_for_the_very_same_messages_stands_beside_the_simplest() -> None:
    here = [message(order(number, sku=..., qty="3", shop="market")) for number in range(50)]
    [found] = contrasts(here, GOOD)
    assert (found.kind, found.subject) == (Kind.PATH_MISSING, ("sku",))
    assert [(each.kind, each.subject) for each in found.also] == [
        (Kind.PATH_PRESENT, ("shop",)),
        (Kind.PATH_TYPE, ("qty",)),
    ]


def test_the_more_telling_comes_first() -> None:
    here = [message(order(number, sku=..., region="mars" if number % 4 else "eu")) for number in range(100)]
    assert [each.split(":")[0] for each in told(here, GOOD)] == ["`sku` missing", '`region` = `"mars"`']


@pytest.mark.parametrize(("here", "there"), [(3, 2), (1, 200), (2, 8), (0, 50), (50, 0)], ids=str)
def test_few_messages_prove_nothing(here: int, there: int) -> None:
    bad = [message({"sku": 1} if number == 2 else {"other": 1}) for number in range(here)]
    assert told(bad, [message({"sku": 1})] * there) == []


def test_values_that_are_all_different_set_nothing_apart() -> None:
    def own(start: int) -> list[Message]:
        return [message({"id": start + each}, {"request-id": f"r{start + each}"}) for each in range(100)]

    assert told(own(0), own(1_000)) == []


def test_an_odd_key_is_written_so_that_one_can_tell_it() -> None:
    assert written(("a b", "c", ITEM, "d.e", "", "f")) == '"a b".c[]."d.e"."".f'
    assert written(()) == "$"


def deep(levels: int) -> Any:
    made: Any = 1
    for _ in range(levels):
        made = {"a": [made]}
    return made


@pytest.mark.parametrize(
    "document",
    [
        deep(10_000),
        {str(number): number for number in range(100_000)},
        [[number] * 50 for number in range(5_000)],
        {"a": 10**5_000},
        {"a": "x" * 10_000_000},
        [[[[]]]],
    ],
    ids=["deep", "wide", "long", "large number", "long text", "empty lists"],
)
def test_no_body_hurts(document: Any) -> None:
    started = time.process_time()
    found = traits(message(document))
    assert time.process_time() - started < 1.0
    assert len(found.features) <= 4 * features.MOST_NODES
    assert contrasts([message(document)] * 5, GOOD) is not None


def test_one_that_has_too_many_parts_is_told_as_such_and_lacks_nothing() -> None:
    large = {"sku": 1, "parts": [{str(each): each for each in range(100)} for _ in range(20)]}
    assert told([message(large)] * 20, GOOD) == [
        "the body is too large to be looked into: 20 of 20 here, 0 of 200 handled"
    ]


SCALARS = st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from(["", "a", "b", "ä b"])
DOCUMENTS = st.dictionaries(
    st.sampled_from(["id", "sku", "lines", "x"]),
    SCALARS | st.lists(st.dictionaries(st.sampled_from(["sku", "n"]), SCALARS, max_size=2), max_size=3),
    max_size=4,
)
MESSAGES = st.builds(
    message,
    DOCUMENTS | st.none(),
    st.dictionaries(st.sampled_from(["t", "u"]), st.sampled_from(["1", "2"]), max_size=2),
)


@pytest.mark.long
@settings(max_examples=60, deadline=None)
@given(st.lists(MESSAGES, min_size=1, max_size=30), st.randoms(use_true_random=False), st.integers(1, 3))
def test_heaps_that_are_alike_yield_nothing(heap: list[Message], random: Any, times: int) -> None:
    other = heap * times
    random.shuffle(other)
    assert contrasts(heap, other) == ()


@pytest.mark.long
@settings(max_examples=60, deadline=None)
@given(
    st.lists(MESSAGES, min_size=12, max_size=30), st.sampled_from(["missing", "value", "type", "header", "header gone"])
)
def test_a_planted_difference_always_comes_first(heap: list[Message], sort: str) -> None:
    def planted(each: Message, side: str) -> Message:
        value: Any = {"here": "bad", "there": "good"}[side]
        document, headers = dict(each.document or {}), dict(each.headers)
        match sort, side:
            case "missing", "here":
                pass
            case "type", _:
                document["planted"] = {"here": "1", "there": 1}[side]
            case "header", _:
                headers["planted"] = value
            case "header gone", "here":
                pass
            case "header gone", "there":
                headers["planted"] = value
            case _:
                document["planted"] = value
        return message(document, headers)

    [first, *others] = contrasts(
        [planted(each, "here") for each in heap], [planted(each, "there") for each in heap] * 2
    )
    assert first.subject == ("planted",)
    assert (first.here, first.there) == (len(heap), 0)
    assert others == []


@pytest.mark.long
@settings(max_examples=60, deadline=None)
@given(st.lists(MESSAGES, max_size=40), st.lists(MESSAGES, max_size=40))
def test_counts_are_what_they_say_and_the_list_is_short_and_ranked(here: list[Message], there: list[Message]) -> None:
    found = contrasts(here, there)
    assert len(found) <= MOST_TOLD
    assert [each.score for each in found] == sorted((each.score for each in found), reverse=True)
    for each in found:
        assert 0 < each.here <= each.of_here <= len(here)
        assert each.there <= each.of_there <= len(there)
        assert each.here * each.of_there >= 2 * each.there * each.of_here
        if each.kind is Kind.HEADER_PRESENT:
            assert each.here == sum(each.subject[0] in one.headers for one in here)
        if each.kind is Kind.PATH_MISSING and len(each.subject) == 1:
            assert each.there == sum(one.document is not None and each.subject[0] not in one.document for one in there)

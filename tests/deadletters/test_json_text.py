"""Values at a path of a JSON text: what is put in or taken out, and that nothing else moves."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stompconsole.deadletters.json_text import Unchangeable, look, put, same, steps, take_out

NAMES = st.text(st.characters(codec="utf-8", exclude_characters=".[]"), min_size=1, max_size=5)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.decimals(allow_nan=False, allow_infinity=False).map(float)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=12,
)


@pytest.mark.parametrize(
    ("text", "path", "value", "after"),
    [
        ('{"a": 1}', "a", "2", '{"a": 2}'),
        ('{"a":1.10,"n":12345678901234567890123,"b":{"c":[1,2,3]}}', "b.c[1]", '"x"',
         '{"a":1.10,"n":12345678901234567890123,"b":{"c":[1,"x",3]}}'),
        ('{"a":1}', "b", "null", '{"a":1,"b":null}'),
        ("{}", "b", "1", '{"b": 1}'),
        ('{\n  "a": 1,\n  "b": 2\n}', "c", "3", '{\n  "a": 1,\n  "b": 2,\n  "c": 3\n}'),
        (' {"a" : {"x": "\\u00e9}]"}} ', "$.a.y", "[]", ' {"a" : {"x": "\\u00e9}]","y": []}} '),
        ('{"k\\u0065y": 1}', "key", "2", '{"k\\u0065y": 2}'),
    ],
)  # fmt: skip
def test_only_the_value_at_the_path_changes(text: str, path: str, value: str, after: str) -> None:
    assert put(text, steps(path), value) == after


@pytest.mark.parametrize(
    ("text", "path", "after"),
    [
        ('{"a": 1, "b": 2}', "a", '{"b": 2}'),
        ('{"a": 1, "b": 2}', "b", '{"a": 1}'),
        ('{"a": 1}', "a", "{}"),
        ("[1, 2, 3]", "1", "[1, 3]"),
        ('{"a": 1}', "x.y", '{"a": 1}'),
        ('{\n  "a": 1,\n  "b": 2\n}', "b", '{\n  "a": 1\n}'),
    ],
)
def test_what_is_taken_out_takes_its_comma_along(text: str, path: str, after: str) -> None:
    assert take_out(text, steps(path)) == after


@pytest.mark.parametrize(
    ("text", "path", "told"),
    [
        ("", "a", "it is no JSON"),
        ("{", "a", "it is no JSON"),
        ("[" * 100_000 + "]" * 100_000, "a", "nested too deeply"),
        ('{"a": 1}', "b.c", "there is no b in it"),
        ('{"a": 1}', "a.c", "a is no object"),
        ("[1]", "5", "the body is no object"),
        ('{"a": 1, "a": 2}', "a", "stands there 2 times"),
    ],
)
def test_what_can_not_be_changed_says_why(text: str, path: str, told: str) -> None:
    with pytest.raises(Unchangeable, match=told):
        put(text, steps(path), "1")


@pytest.mark.long
@given(VALUES, st.booleans(), st.data())
def test_any_value_can_be_replaced_at_any_path_and_the_rest_means_the_same(
    value: Any, wide: bool, data: st.DataObject
) -> None:
    text = json.dumps(value, indent=2 if wide else None, ensure_ascii=wide)
    path, inner = [], value
    while isinstance(inner, dict | list) and inner and (not path or data.draw(st.booleans())):
        key = data.draw(st.sampled_from(sorted(inner) if isinstance(inner, dict) else range(len(inner))))
        path.append(str(key))
        inner = inner[key]
    if not path:
        return
    found = look(text, tuple(path))
    assert found is not None
    assert same(found, json.dumps(inner))
    assert put(text, tuple(path), found) == text
    changed = put(text, tuple(path), '{"new": 1e400}')
    assert look(changed, tuple(path)) == '{"new": 1e400}'
    assert put(changed, tuple(path), found) == text
    assert len(json.loads(take_out(text, tuple(path)))) == len(_parent(value, path)) - 1 or len(path) > 1


def _parent(value: Any, path: list[str]) -> Any:
    for step in path[:-1]:
        value = value[int(step)] if isinstance(value, list) else value[step]
    return value


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [
        ("1", "1.0", True),
        ("12345678901234567890123", "12345678901234567890124", False),
        ("0.1", "0.10", True),
        ("true", "1", False),
        ('{"a": [1, null]}', '{ "a":[1,null] }', True),
        ('{"a": [1, true]}', '{"a": [1, 1]}', False),
        ("nope", "nope", False),
        ("1e99999999999999999999", "1", False),
    ],
)
def test_values_are_compared_as_they_are_meant_and_numbers_exactly(one: str, other: str, equal: bool) -> None:
    assert same(one, other) is equal


def test_numbers_are_kept_as_they_are_spelt() -> None:
    text = '{"price": 19.90, "big": 98765432109876543210987654321, "tiny": 1E-7, "sku": null}'
    after = put(text, ("sku",), '"A"')
    assert after == text.replace("null", '"A"')
    assert json.loads(after, parse_float=Decimal)["price"] == Decimal("19.90")

"""Redaction: what rules name is never stored in clear, and every message can be put together again byte by byte."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from django.test import override_settings
from hypothesis import given
from hypothesis import strategies as st

from stompconsole.conf.redact import Rules, WrongRuleError, rules_of
from stompconsole.deadletters.quoting import Quotes
from stompconsole.deadletters.redacting import LARGEST, NOT_JSON, TOO_LARGE, Redactor, redactor
from stompconsole.deadletters.sealing import opened, put_back, seal


def hiding(*rules: str) -> Redactor:
    return Redactor(rules_of(rules))


@pytest.mark.parametrize(
    ("rule", "body", "shown"),
    [
        ("$.card.number", {"card": {"number": "4111", "kind": "visa"}}, {"card": {"number": "#", "kind": "visa"}}),
        ("json:card.number", {"card": {"number": "4111"}}, {"card": {"number": "#"}}),
        ("$.items[*].secret", {"items": [{"secret": 1}, {"secret": 2}]}, {"items": [{"secret": "#"}, {"secret": "#"}]}),
        ("$.items[1]", {"items": [1, 2, 3]}, {"items": [1, "#", 3]}),
        ("$.items.1", {"items": [1, 2, 3]}, {"items": [1, "#", 3]}),
        ("$..password", {"a": [{"password": "x"}], "password": "y"}, {"a": [{"password": "#"}], "password": "#"}),
        ("$..a..b", {"a": {"c": {"b": 1}, "b": 2}, "b": 3}, {"a": {"c": {"b": "#"}, "b": "#"}, "b": 3}),
        ("$.card", {"card": {"number": "4111"}}, {"card": "#"}),
        ('$["a.b"].c', {"a.b": {"c": True}}, {"a.b": {"c": "#"}}),
        ("$.*", {"a": 1, "b": [2]}, {"a": "#", "b": "#"}),
        ("$[*].id", [{"id": "x"}], [{"id": "#"}]),
        ("$.missing", {"a": 1}, {"a": 1}),
        ("$.a", {"a": None}, {"a": None}),
        ("$.A", {"a": 1}, {"a": 1}),
    ],
)
def test_a_path_finds_its_parts(rule: str, body: Any, shown: Any) -> None:
    found = hiding(rule).hide({}, json.dumps(body).encode())
    assert json.loads(re.sub(rb'"\[redacted \d+\]"', b'"#"', found.body)) == shown
    plain = json.loads(json.dumps(hiding(rule).document(body)).replace("[redacted]", "#"))
    assert plain == shown, "a document that is read already is redacted alike"


@pytest.mark.parametrize("rule", ["x-token", "header:X-Token", "header: x-token"])
def test_a_header_is_found_in_any_case(rule: str) -> None:
    found = hiding(rule).hide({"X-TOKEN": "abc", "color": "red"}, b"x")
    assert found.headers == {"X-TOKEN": "[redacted 1]", "color": "red"}
    assert hiding(rule).headers({"X-TOKEN": "abc", "color": "red"}) == {"X-TOKEN": "[redacted]", "color": "red"}
    assert found.body == b"x"


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ("card.number", "could be a header or a path: write header:card.number or $.card.number"),
        ("$", "names no part"),
        ("json:", "can't be read"),
        ("$.a..", "can't be read from '..'"),
        ("$.a[", "can't be read from '['"),
        ("$a", "can't be read from 'a'"),
        ("$" + ".a" * 21, "at most 20 steps"),
        ("header:", "names no header"),
        ("x:y", "names no header"),
        ("destination", "can't be redacted"),
        ("stompconsole-dead-letter-id", "can't be redacted"),
    ],
)
def test_a_rule_that_can_t_be_read_is_told_with_how_to_write_it(rule: str, words: str) -> None:
    with pytest.raises(WrongRuleError) as caught:
        rules_of([rule])
    assert words in str(caught.value)
    assert rule in str(caught.value)


def test_blank_lines_are_no_rules() -> None:
    assert rules_of(["", "  "]) == Rules()
    assert not redactor()


@override_settings(STOMPCONSOLE={"REDACT": ["x-token"]})
def test_rules_of_the_settings_and_of_a_consumer_hold_together() -> None:
    found = redactor(["$.a"]).hide({"x-token": "t", "b": "c"}, b'{"a": 1}')
    assert (found.headers, found.body) == ({"x-token": "[redacted 1]", "b": "c"}, b'{"a": "[redacted 2]"}')


ODD = [
    b'{"password":"a","password":"b"}',
    b'{ "p\\u0061ssword" : "a\\u00e9" ,\n\t"n" : 1.50e+3 }',
    b'{"password": NaN, "n": 123456789012345678901234567890.10}',
    '{"password": "ü😀\\ud83d\\ude00", "x": "[redacted 1]"}'.encode(),
    b'[{"password": [1, {"a": ""}]}, {"password": {}}, {"password": false}]',
]


@pytest.mark.parametrize("body", ODD, ids=range(len(ODD)))
def test_nothing_but_the_parts_changes_and_all_comes_back_byte_by_byte(body: bytes) -> None:
    found = hiding("$..password").hide({}, body)
    assert found.body != body
    assert put_back(found.headers, found.body, opened(seal(found.parts))) == ({}, body)
    outside = re.sub(rb'"\[redacted \d+\]"', b"", found.body)
    assert outside.replace(b" ", b"") != b""
    assert b"\\u00e9" not in found.body


@pytest.mark.parametrize(
    ("body", "marker"),
    [
        (b"password=hunter2", NOT_JSON),
        (b'{"password": "hunter2"', NOT_JSON),
        (b'\xef\xbb\xbf{"password": "hunter2"}', NOT_JSON),
        ('{"password": "hunter2"}'.encode("utf-16"), NOT_JSON),
        (b'{"password": "\xff"}', NOT_JSON),
        (b"[" * 10_000 + b'{"password": "hunter2"}' + b"]" * 10_000, NOT_JSON),
        (b'{"password": "hunter2", "x": "' + b"x" * LARGEST + b'"}', TOO_LARGE),
    ],
    ids=["text", "cut", "bom", "utf-16", "not utf-8", "deep", "large"],
)
def test_a_body_whose_parts_can_t_be_told_apart_is_taken_out_whole(body: bytes, marker: str) -> None:
    found = hiding("$..password").hide({}, body)
    assert found.body == marker.encode()
    assert put_back({}, found.body, opened(seal(found.parts))) == ({}, body)
    assert hiding("x-token").hide({}, body).body == body, "without a rule about bodies it stays as it is"


def test_an_empty_body_has_nothing_to_hide() -> None:
    assert not hiding("$..password").hide({}, b"").parts


def test_a_marker_that_stands_in_the_message_already_is_not_taken_for_one_of_ours() -> None:
    body = b'{"password": "hunter2", "note": "[redacted 1]", "other": "[redacted 2]"}'
    found = hiding("$.password").hide({"color": "[redacted 3]"}, body)
    assert b'"password": "[redacted 4]"' in found.body
    assert put_back(found.headers, found.body, opened(seal(found.parts))) == ({"color": "[redacted 3]"}, body)


@pytest.mark.parametrize(
    ("values", "text", "left"),
    [
        (["hunter2"], "KeyError: 'hunter2'", "KeyError: '[redacted]'"),
        (["it's\n"], 'bad "it\'s\\n"', 'bad "[redacted]"'),
        (['say "x"'], 'at {"a": "say \\"x\\""}', 'at {"a": "[redacted]"}'),
        (["1.50"], "amount 1.5 of 1.50", "amount [redacted] of [redacted]"),
        (["12.50"], "amount 12.5 of 12.50", "amount [redacted] of [redacted]"),
        (["737"], "cvv 737 of 47371", "cvv [redacted] of 47371"),
        (["no"], "there is no such thing", "there is no such thing"),
        (["hunter2", "hunter2-long"], "hunter2-long", "[redacted]"),
        (["hunter2-long"], "it was hunter2-l…", "it was [redacted]…"),
        (["hunter2-long"], "…er2-long was it", "…[redacted] was it"),
        (["acted"], "acted [redacted] hunter", "[redacted] [redacted] hunter"),
    ],
)
def test_errors_do_not_quote_what_was_taken_out(values: list[str], text: str, left: str) -> None:
    assert Quotes(values).taken_out_of(text) == left


def test_of_a_bearer_token_the_token_alone_is_not_quoted_either() -> None:
    found = hiding("authorization").hide({"authorization": "Bearer abcdefgh.123"}, b"")
    assert found.quotes.taken_out_of("token abcdefgh.123 is old") == "token [redacted] is old"


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["a", "b", "secret", "ü"]), inner, max_size=4)
    ),
    max_leaves=20,
)


@pytest.mark.long
@given(
    value=VALUES,
    indent=st.sampled_from([None, 1, 3]),
    ascii_only=st.booleans(),
    rule=st.sampled_from(["$..secret", "$.a", "$.*", "$[*]..b", "$..*"]),
)
def test_whatever_the_body_is_it_comes_back_and_stays_json(
    value: Any,
    indent: int | None,
    ascii_only: bool,
    rule: str,
) -> None:
    body = json.dumps(value, indent=indent, ensure_ascii=ascii_only).encode(errors="surrogatepass")
    found = hiding(rule).hide({}, body)
    assert put_back({}, found.body, opened(seal(found.parts))) == ({}, body)
    if found.parts.whole is None:
        hidden = json.loads(found.body)
        masked = json.loads(re.sub(rb'"\[redacted \d+\]"', b'"[redacted]"', found.body))
        assert masked == hiding(rule).document(json.loads(body)), "both ways find the same parts"
        assert hiding(rule).hide({}, found.body, kept=found.parts.body.keys()).body == found.body, hidden

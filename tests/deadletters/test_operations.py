"""Edits of many messages: what each does to one, what it refuses, how it is read and kept."""

from __future__ import annotations

import json

import pytest

from stompconsole.deadletters import operations
from stompconsole.deadletters.operations import Message, Operation, Refusal

HEADERS = {"color": "red", "content-type": "application/json", "stompconsole-consumer": "orders"}
BODY = b'{"order": {"id": 1.10}, "sku": null}'


def done(rows: list[dict[str, str]], body: bytes = BODY, headers: dict[str, str] = HEADERS) -> Message | str:
    read = operations.read(rows)
    assert not read.problems
    assert operations.kept(json.loads(json.dumps(operations.written(read.operations)))) == read.operations
    match operations.carry_out(read.operations, Message(headers=headers, body=body)):
        case Refusal(reason=reason):
            return reason
        case message:
            return message


def row(act: str, target: str, value: str = "", when: str = "", expected: str = "") -> dict[str, str]:
    return {"act": act, "target": target, "value": value, "when": when, "expected": expected}


@pytest.mark.parametrize(
    ("rows", "headers", "body"),
    [
        ([row("set header", "color", "blue")], {"color": "blue"}, BODY),
        ([row("set header", "new", " 1 ")], {"new": " 1 "}, BODY),
        ([row("set header", "color", "blue", "missing")], {}, BODY),
        ([row("set header", "color", "blue", "equals", "red")], {"color": "blue"}, BODY),
        ([row("set header", "color", "blue", "equals", "green")], {}, BODY),
        ([row("remove header", "nope")], {}, BODY),
        ([row("set json", "sku", '"A"')], {}, b'{"order": {"id": 1.10}, "sku": "A"}'),
        ([row("set json", "sku", '"A"', "missing")], {}, BODY),
        ([row("set json", "sku", '"A"', "equals", "null")], {}, b'{"order": {"id": 1.10}, "sku": "A"}'),
        ([row("set json", "order.id", "2", "equals", "1.1")], {}, b'{"order": {"id": 2}, "sku": null}'),
        ([row("remove json", "order")], {}, b'{"sku": null}'),
        ([row("set json", "a", "1"), row("set json", "a", "2", "equals", "1")], {}, BODY[:-1] + b', "a": 2}'),
    ],
)
def test_an_edit_changes_what_it_names_and_nothing_else(
    rows: list[dict[str, str]], headers: dict[str, str], body: bytes
) -> None:
    assert done(rows) == Message(headers={**HEADERS, **headers}, body=body)


def test_a_removed_header_is_gone() -> None:
    after = done([row("remove header", "color")])
    assert isinstance(after, Message)
    assert "color" not in after.headers


@pytest.mark.parametrize(
    ("rows", "body", "told"),
    [
        ([row("set json", "sku", "1")], b"<xml/>", "it is no JSON"),
        ([row("set json", "sku", "1")], b"\xff\x00", "no UTF-8 text"),
        ([row("set json", "a.b", "1")], BODY, "there is no a in it"),
        ([row("set json", "a", "1")], b" " * (operations.MAX_JSON_BYTES + 1), "larger than 4 MB"),
        ([row("set json", "a", "1")], b"[" * 10_000 + b"]" * 10_000, "nested too deeply"),
        ([row("set header", "content-type", "text/json")], b"<xml/>", "it is no JSON"),
    ],
)
def test_what_can_not_be_edited_says_why(rows: list[dict[str, str]], body: bytes, told: str) -> None:
    reason = done(rows, body)
    assert isinstance(reason, str)
    assert told in reason


def test_a_body_that_is_no_text_takes_edits_of_headers() -> None:
    after = done([row("set header", "color", "blue")], b"\xff\x00")
    assert isinstance(after, Message)
    assert after.body == b"\xff\x00"


def test_too_many_headers_are_refused_for_the_message_that_has_them() -> None:
    full = {f"h{number}": "1" for number in range(80)}
    reason = done([row("set header", "one-more", "1")], headers=full)
    assert isinstance(reason, str)
    assert "81 headers are too many" in reason


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        (row("set header", "destination", "/queue/x"), "destination is locked"),
        (row("set header", "stompconsole-replay-id", "1"), "is locked"),
        (row("set header", "a:b", "1"), "can't be a header"),
        (row("set header", "x", "y" * 8_000), "longer than 8,000 bytes"),
        (row("set json", "a..b", "1"), "a..b is no path"),
        (row("set json", "a", "A-17"), "is A-17, which is no JSON"),
        (row("set json", "a", "NaN"), "no JSON"),
        (row("set json", "a", "[" * 100_000), "longer than"),
        (row("set json", "a", "1", "equals", ""), "is empty, which is no JSON"),
        (row("remove json", "a", "", "missing"), "can't be taken out where it is missing"),
        (row("drop table", "a"), "nothing that can be done"),
        (row("set json", "a", "1", "sometimes"), "nothing that can be done"),
    ],
)
def test_what_makes_no_sense_is_told_when_it_is_typed(typed: dict[str, str], told: str) -> None:
    assert told in " ".join(operations.read([typed]).problems)


@pytest.mark.parametrize("text", ["{", "{}", "[1]", "[" * 100_000, '[{"target": "x"}]'])
def test_kept_edits_that_were_tampered_with_are_not_used(text: str) -> None:
    assert operations.read_json(text).problems


def test_at_most_twenty_at_once() -> None:
    read = operations.read([row("set header", f"h{number}", "1") for number in range(21)])
    assert "at most 20" in read.problems[0]


def test_records_name_what_is_edited_and_no_values() -> None:
    operation = Operation(act=operations.Act.SET_HEADER, target="token", value="secret")
    assert (operation.name, str(operation)) == ("set header token", "set header token to secret")

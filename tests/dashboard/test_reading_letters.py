"""Bodies, tracebacks and headers made readable."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stompconsole.dashboard.letter import bodies, tracebacks
from stompconsole.dashboard.letter.bodies import BodyView
from stompconsole.dashboard.letter.headers import grouped

LIMIT = 256 * 1024


def shown(body: bytes, content_type: str = "", wanted: str = "", limit: int = LIMIT) -> str:
    return "".join(token.text for token in bodies.show(body, content_type, wanted, limit).tokens)


def test_json_is_indented_and_nothing_else_is_changed() -> None:
    body = b'{"a":1.50,"a":[1e400,{}, []],"\\u0041":"\\u0000","n":123456789012345678901234567890,"x":null}'
    assert shown(body) == (
        '{\n  "a": 1.50,\n  "a": [\n    1e400,\n    {},\n    []\n  ],\n  "\\u0041": "\\u0000",\n'
        '  "n": 123456789012345678901234567890,\n  "x": null\n}'
    )


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@pytest.mark.long
@given(json_values)
def test_set_out_json_means_the_same(value: object) -> None:
    body = json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")
    try:
        body.decode()
    except UnicodeDecodeError:
        return
    if b"\0" not in body:
        assert json.loads(shown(body, wanted="json")) == value


@given(st.binary(max_size=2000), st.text(max_size=40), st.sampled_from(["", "json", "text", "hex"]))
def test_any_body_with_any_content_type_can_be_shown(body: bytes, content_type: str, wanted: str) -> None:
    found = bodies.show(body, content_type, wanted, LIMIT)
    assert found.view in found.offered
    assert BodyView.HEX in found.offered
    assert "\0" not in "".join(token.text for token in found.tokens)


@pytest.mark.parametrize(
    ("body", "content_type", "view"),
    [
        (b'{"a": 1}', "text/plain", BodyView.JSON),
        (b'{"a": 1', "application/json", BodyView.TEXT),
        ("Grüße".encode("latin-1"), "text/plain; charset=iso-8859-1", BodyView.TEXT),
        ("Grüße".encode("latin-1"), "text/plain", BodyView.HEX),
        (b"plain", "text/plain; charset=no-such", BodyView.HEX),
        (b"a\0b", "text/plain", BodyView.HEX),
        (b"[" * 100_000, "", BodyView.TEXT),
        (b"", "", BodyView.TEXT),
    ],
)
def test_the_best_view_of_a_body_is_taken(body: bytes, content_type: str, view: BodyView) -> None:
    assert bodies.show(body, content_type, "", LIMIT).view is view


def test_a_view_that_can_not_be_had_gives_the_best_one() -> None:
    assert bodies.show(b"\xff\xfe", "", "json", LIMIT).view is BodyView.HEX


def test_a_large_body_is_cut_before_it_is_set_out() -> None:
    body = json.dumps(["ä" * 50] * 10, ensure_ascii=False).encode()
    found = bodies.show(body, "application/json", "", 100)
    assert found.view is BodyView.TEXT
    assert len("".join(token.text for token in found.tokens).encode()) <= 100
    assert found.note.startswith("The first 100 B of")


def test_control_characters_are_made_visible() -> None:
    assert shown(b"a\x1b[31mb\n", wanted="text") == "a␛[31mb\n"


def test_hex_has_offsets_bytes_and_letters() -> None:
    assert shown(b"0123456789abcdef\xff", wanted="hex") == (
        "00000000  30 31 32 33 34 35 36 37  38 39 61 62 63 64 65 66  0123456789abcdef\n"
        "00000010  ff                                                ."
    )


TRACEBACK = """Traceback (most recent call last):
  File "/srv/.venv/lib/python3.12/site-packages/stompconsole/delivery/handling.py", line 88, in call
    outcome = handler(payload)
              ^^^^^^^^^^^^^^^^
  File "/srv/.venv/lib/python3.12/site-packages/django/db/transaction.py", line 80, in inner
    return func(*args)
  File "/srv/app/orders/handlers.py", line 41, in price_of
    return PRICES[line["sku"]]
KeyError: 'sku'

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "/srv/app/orders/handlers.py", line 50, in handle
    raise Broken
orders.Broken: nothing"""


def test_the_teams_frames_stand_out_and_others_are_folded() -> None:
    parts = tracebacks.parts(TRACEBACK)
    assert parts[1].folded == "2 frames of django and stompconsole"
    assert [frame.where for frame in parts[2].frames] == ["app/orders/handlers.py:41"]
    assert parts[2].frames[0].function == "price_of"
    assert not parts[2].folded
    assert parts[-1].text == "orders.Broken: nothing"


def test_without_a_frame_of_the_teams_nothing_is_folded() -> None:
    parts = tracebacks.parts("\n".join(TRACEBACK.splitlines()[:4]))
    assert [part.folded for part in parts] == ["", ""]
    assert parts[1].frames[0].code.endswith("^^^^")


def test_frames_of_windows_are_read_too() -> None:
    [part] = tracebacks.parts('  File "C:\\\\app\\\\orders.py", line 3, in f\n    code')
    assert part.frames[0].where.endswith("orders.py:3")


@given(st.text())
def test_any_text_can_be_read_as_a_traceback(text: str) -> None:
    tracebacks.parts(text)


def test_headers_are_the_teams_ours_or_the_brokers() -> None:
    headers = {"tenant": "eu", "stompconsole-origin": "/queue/a", "message-id": "1", "x-delivery-count": "2"}
    found = {group.title: [name for name, _ in group.headers] for group in grouped(headers, "rabbitmq")}
    assert found == {
        "Yours": ["tenant"],
        "Ours": ["stompconsole-origin"],
        "The broker's": ["message-id", "x-delivery-count"],
    }


def test_what_only_one_kind_of_broker_makes_is_the_brokers_when_the_kind_is_not_known() -> None:
    for kind in ("", "auto"):
        [group] = grouped({"x-death": "1", "dlqDeliveryFailureCause": "2", "_AMQ_ORIG_ADDRESS": "3"}, kind)
        assert group.title == "The broker's"
    [group] = grouped({"dlqDeliveryFailureCause": "2"}, "rabbitmq")
    assert group.title == "Yours"

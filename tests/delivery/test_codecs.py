"""Bodies into what handlers see, and what is said of those that can't be read."""

from __future__ import annotations

import pytest

from stompconsole.delivery.codecs import UnreadableBody, decode
from stompconsole.delivery.specs import Codec


def test_json_is_read_whatever_the_content_type_says() -> None:
    assert decode(b'{"a": [1, null]}', {"content-type": "text/plain"}, Codec.JSON) == {"a": [1, None]}


@pytest.mark.parametrize("body", [b"", b"{", b"\xff\xfe{}", b"[" * 100_000])
def test_what_is_not_json_is_named(body: bytes) -> None:
    with pytest.raises(UnreadableBody, match="JSON"):
        decode(body, {}, Codec.JSON)


def test_text_goes_by_its_charset_and_utf_8_without_one() -> None:
    assert decode("é".encode("latin-1"), {"content-type": "text/plain;charset=latin-1"}, Codec.TEXT) == "é"
    assert decode("é".encode(), {}, Codec.TEXT) == "é"


def test_an_unknown_charset_is_named() -> None:
    with pytest.raises(UnreadableBody, match="'klingon'"):
        decode(b"x", {"content-type": "text/plain; charset=klingon"}, Codec.TEXT)


def test_bytes_stay_bytes() -> None:
    assert decode(b"\x00\xff", {"content-type": "application/json"}, Codec.BYTES) == b"\x00\xff"


@pytest.mark.parametrize(
    ("content_type", "shown"),
    [("application/json", {"a": 1}), ("application/vnd.x+json", {"a": 1}), ("text/csv", '{"a":1}'), ("", b'{"a":1}')],
)
def test_by_content_type_chooses(content_type: str, shown: object) -> None:
    headers = {"content-type": content_type} if content_type else {}
    assert decode(b'{"a":1}', headers, Codec.BY_CONTENT_TYPE) == shown

"""Frames on the wire: escaping, and what can't be carried."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from stomp.utils import parse_frame

from stompconsole.errors import ConfigurationError
from stompconsole.transport import frames
from stompconsole.transport.frames import Frame

text = st.text(st.characters(blacklist_characters="\0", blacklist_categories=["Cs"]), max_size=40)


@given(headers=st.dictionaries(text.filter(bool), text, max_size=6), body=st.binary(max_size=200))
def test_what_is_encoded_is_read_back_by_stomp_py_as_it_was(headers: dict[str, str], body: bytes) -> None:
    parsed = parse_frame(frames.encode("SEND", headers, body)[:-1])
    assert (parsed.cmd, parsed.headers, parsed.body) == ("SEND", headers, body)


line = st.text(st.sampled_from(["a", "b", ":", "\\", "n", "c", "r", "t", "é", " "]), max_size=12)
raw_line = st.one_of(
    line.map(str.encode), st.sampled_from([b"", b"a:1\r", b"\xff:\xfe", b"\\n:\\\\", b"a:\\\\n", b":x", b"a:b:c"])
)


@given(
    command=st.sampled_from([b"MESSAGE", b"", b"\nRECEIPT", b"\r\nERROR"]),
    lines=st.lists(raw_line, max_size=6),
    body=raw_line,
)
@example(command=b"", lines=[], body=b"")
def test_what_is_read_is_what_stomp_py_reads(command: bytes, lines: list[bytes], body: bytes) -> None:
    raw = b"\n".join([command, *lines, b"", body])
    parsed, ours = parse_frame(raw), frames.parse(raw)
    if parsed is None:
        assert ours is None
    else:
        assert ours == Frame(parsed.cmd, parsed.headers, parsed.body)
        assert list(ours.headers) == list(parsed.headers)


@given(headers=st.dictionaries(text.filter(bool), text, max_size=6), body=st.binary(max_size=200))
def test_what_is_encoded_is_read_back_as_it_was(headers: dict[str, str], body: bytes) -> None:
    assert frames.parse(frames.encode("SEND", headers, body)[:-1]) == Frame("SEND", headers, body)


def test_a_frame_reads_as_the_specification_draws_it() -> None:
    data = frames.encode("SEND", {"destination": "/queue/a", "x": "a:b\nc\\d\re"}, b"hi")
    assert data == b"SEND\ndestination:/queue/a\nx:a\\cb\\nc\\\\d\\re\n\nhi\0"


def test_ack_and_nack_escape_their_id() -> None:
    assert frames.ack("ID:vm-1:2") == b"ACK\nid:ID\\cvm-1\\c2\n\n\0"
    assert frames.nack("T_1@@2") == b"NACK\nid:T_1@@2\n\n\0"


@pytest.mark.parametrize(("name", "value"), [("", "x"), ("a", "x\0y"), ("a\0", "x")])
def test_a_header_no_escape_can_carry_is_refused_by_name(name: str, value: str) -> None:
    with pytest.raises(ConfigurationError, match="header"):
        frames.encode("SEND", {name: value})


@pytest.mark.parametrize(
    ("message", "body", "words"),
    [
        ("not_found", b"NOT_FOUND - no queue", "not_found: NOT_FOUND - no queue"),
        ("no right", b"no right", "no right"),
        ("store is full", b"java.lang.Exception: store is full\n\tat a line of code", "store is full"),
        ("", b"\0", "an ERROR without a message"),
        ("", b"only a body\n", "only a body"),
        ("AMQ339011 Error sending message CoreMessage[all its headers]", b"", "AMQ339011 Error sending message"),
        ("x" * 9_000, b"", "x" * 500),
    ],
)
def test_an_error_is_told_in_one_line_that_says_nothing_twice(message: str, body: bytes, words: str) -> None:
    assert frames.error_in_words({"message": message}, body) == words

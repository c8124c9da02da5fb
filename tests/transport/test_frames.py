"""Frames on the wire: escaping, and what can't be carried."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stomp.utils import parse_frame

from stompconsole.errors import ConfigurationError
from stompconsole.transport import frames

text = st.text(st.characters(blacklist_characters="\0", blacklist_categories=["Cs"]), max_size=40)


@given(headers=st.dictionaries(text.filter(bool), text, max_size=6), body=st.binary(max_size=200))
def test_what_is_encoded_is_read_back_by_stomp_py_as_it_was(headers: dict[str, str], body: bytes) -> None:
    parsed = parse_frame(frames.encode("SEND", headers, body)[:-1])
    assert (parsed.cmd, parsed.headers, parsed.body) == ("SEND", headers, body)


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

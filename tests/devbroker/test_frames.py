"""Frames and their bytes: escaping, and a parser that does not care where reads are cut."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stompconsole.devbroker.frames import Frame, MalformedFrame, Version, encode
from stompconsole.devbroker.options import FrameLimits
from stompconsole.devbroker.parser import FrameParser

LIMITS = FrameLimits()

# How long an example takes says something about the machine, nothing about frames.
unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

versions = st.sampled_from(Version)
texts = st.text(alphabet="\\:\r\n cnrt-\u00e9\U0001f42b", max_size=12)
names = st.text(alphabet="\\:\r\n cnrt-\u00e9\U0001f42b", min_size=1, max_size=8)
header_maps = st.dictionaries(names, texts, max_size=4)
bodies = st.binary(max_size=60) | st.binary(max_size=20).map(lambda body: body + b"\0\n\n\0")


@st.composite
def frames(draw: st.DrawFn) -> Frame:
    command = draw(st.sampled_from(["SEND", "MESSAGE", "ERROR", "ACK", "BEGIN", "SUBSCRIBE"]))
    headers = draw(header_maps)
    if command not in {"SEND", "MESSAGE", "ERROR"}:
        return Frame(command, headers)
    body = draw(bodies)
    if b"\0" in body or draw(st.booleans()):
        headers = {**headers, "content-length": str(len(body))}
    return Frame(command, headers, body)


def parsed(data: bytes, version: Version = Version.V12, limits: FrameLimits = LIMITS) -> list[Frame]:
    return parsed_in_parts([data], version, limits)


def parsed_in_parts(parts: list[bytes], version: Version, limits: FrameLimits = LIMITS) -> list[Frame]:
    parser = FrameParser(limits, version)
    found = []
    for part in parts:
        parser.feed(part)
        while (frame := parser.next_frame()) is not None:
            found.append(frame)
    return found


@pytest.mark.long
@unhurried
@given(st.lists(frames(), max_size=5), versions, st.data())
def test_any_cut_of_any_frames_gives_the_same_frames(sent: list[Frame], version: Version, data: st.DataObject) -> None:
    beats = [data.draw(st.sampled_from([b"", b"\n", b"\r\n", b"\n\n"])) for _ in sent]
    stream = b"".join(encode(frame, version) + beat for frame, beat in zip(sent, beats, strict=True))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    parts = [stream[start:end] for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)]

    assert parsed_in_parts(parts, version) == sent


@unhurried
@given(st.lists(frames(), max_size=3), versions)
def test_frames_that_come_byte_by_byte_are_the_same(sent: list[Frame], version: Version) -> None:
    stream = b"".join(encode(frame, version) for frame in sent)

    assert parsed_in_parts([bytes([byte]) for byte in stream], version) == sent


@unhurried
@given(header_maps, versions)
def test_every_header_survives_escaping(headers: dict[str, str], version: Version) -> None:
    assert parsed(encode(Frame("SEND", headers), version), version) == [Frame("SEND", headers)]


@unhurried
@given(st.binary(max_size=200), versions)
def test_garbage_is_refused_or_understood_but_nothing_else_happens(data: bytes, version: Version) -> None:
    try:
        parsed(data, version)
    except MalformedFrame as error:
        assert str(error)  # noqa: PT017 - that there is a text is all there is to say


@pytest.mark.parametrize(
    ("version", "value", "meant"),
    [
        (Version.V12, rb"a\cb\nc\\d\re", "a:b\nc\\d\re"),
        (Version.V11, rb"a\cb\nc\\d", "a:b\nc\\d"),
        (Version.V12, rb"\\n", "\\n"),
        (Version.V12, b"raw:colon", "raw:colon"),
        (Version.V12, b" spaces stay ", " spaces stay "),
        (Version.V12, b"", ""),
    ],
)
def test_escapes_are_read_as_the_version_has_them(version: Version, value: bytes, meant: str) -> None:
    (frame,) = parsed(b"SEND\nx:" + value + b"\n\n\0", version)

    assert frame.headers == {"x": meant}


@pytest.mark.parametrize(("version", "value"), [(Version.V12, rb"\t"), (Version.V12, b"a\\"), (Version.V11, rb"\r")])
def test_an_unknown_escape_is_malformed(version: Version, value: bytes) -> None:
    with pytest.raises(MalformedFrame, match="no escape sequence"):
        parsed(b"SEND\nx:" + value + b"\n\n\0", version)


@pytest.mark.parametrize("command", ["CONNECT", "STOMP", "CONNECTED"])
def test_the_headers_of_connecting_are_not_escaped(command: str) -> None:
    frame = Frame(command, {"passcode": r"p:w\n"})
    data = encode(frame, Version.V12)

    assert data == command.encode() + b"\npasscode:p:w\\n\n\n\0"
    assert parsed(data) == [frame]


@pytest.mark.parametrize("version", Version)
def test_crlf_line_ends_are_taken(version: Version) -> None:
    assert parsed(b"\r\nSEND\r\nx:1\r\ny:2\r\n\r\nbody\0\r\n", version) == [
        Frame("SEND", {"x": "1", "y": "2"}, b"body")
    ]


def test_a_body_may_hold_what_looks_like_the_end_of_headers() -> None:
    assert parsed(b"SEND\nx:1\n\na\n\nb\r\n\r\n\0") == [Frame("SEND", {"x": "1"}, b"a\n\nb\r\n\r\n")]


def test_the_first_of_repeated_headers_counts() -> None:
    assert parsed(b"SEND\nx:1\nx:2\n\n\0") == [Frame("SEND", {"x": "1"})]


def test_the_version_may_change_between_two_frames_of_one_read() -> None:
    parser = FrameParser(LIMITS, Version.V12)
    parser.feed(b"SEND\nx:a\\rb\n\n\0SEND\nx:a\\rb\n\n\0")

    assert parser.next_frame() == Frame("SEND", {"x": "a\rb"})
    parser.version = Version.V11
    with pytest.raises(MalformedFrame):
        parser.next_frame()


def test_a_byte_that_is_no_utf8_is_replaced() -> None:
    assert parsed(b"SEND\nx:caf\xe9\n\n\0") == [Frame("SEND", {"x": "caf\ufffd"})]


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"SEND\nno-colon\n\n\0", "no name and colon"),
        (b"SEND\n:nameless\n\n\0", "no name and colon"),
        (b"SEND\ncontent-length:2\n\nabc\0", "no NUL follows"),
        (b"SEND\ncontent-length:-1\n\nabc\0", "must be a number"),
        (b"SEND\ncontent-length:\xc2\xb2\n\nabc\0", "must be a number"),
        (b"SEND\ncontent-length:" + b"9" * 5000 + b"\n\nabc\0", "body is longer"),
        (b"ACK\nid:1\n\nbody\0", "has a body"),
        (b"SEND\nx:1\0", "NUL stands among the headers"),
        (b"SEND\nx:1\0\n\nbody", "NUL stands among the headers"),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", "no STOMP command"),
        (b"send\n\n\0", "no STOMP command"),
        (b"\x16\x03\x01\x02\x00\n\n", "NUL stands|no STOMP command"),
    ],
)
def test_malformed_bytes_are_told(data: bytes, what: str) -> None:
    with pytest.raises(MalformedFrame, match=what):
        parsed(data)


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"SEND\nx:" + b"1" * 100, "headers are longer than 50 bytes"),
        (b"SEND\nx:" + b"1" * 100 + b"\n\n\0", "headers are longer than 50 bytes"),
        (b"SEND\na:1\nb:1\nc:1\nd:1\n\n\0", "more than 3 headers"),
        (b"SEND\ncontent-length:21\n\n", "body is longer than 20 bytes"),
        (b"SEND\n\n" + b"x" * 21, "body is longer than 20 bytes"),
        (b"SEND\n\n" + b"x" * 21 + b"\0", "body is longer than 20 bytes"),
    ],
)
def test_frames_over_the_limits_are_refused_before_they_are_complete(data: bytes, what: str) -> None:
    limits = FrameLimits(head_bytes=50, headers=3, body_bytes=20)
    with pytest.raises(MalformedFrame, match=what):
        parsed(data, limits=limits)


def test_a_frame_at_the_limits_is_taken() -> None:
    limits = FrameLimits(head_bytes=22, headers=1, body_bytes=20)

    (frame,) = parsed(b"SEND\ncontent-length:20\n\n" + b"x" * 20 + b"\0", limits=limits)

    assert len(frame.body) == 20

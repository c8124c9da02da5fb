"""Receipts, transactions, bodies and headers mean the same on every broker."""

from __future__ import annotations

import hashlib
import itertools
from concurrent.futures import ThreadPoolExecutor

import pytest

from stompconsole.transport import frames
from tests.contract.client import Client

BODIES = {
    "empty": b"",
    "text": '{"name": "Zoë ☃"}'.encode(),
    "NULs": b"\0a\0\0b\0",
    "any byte": bytes(range(256)),
    "invalid UTF-8": b"\xff\xfe\xc3\x28",
    "line ends": b"\r\n\n\n",
    "frame-like": b"MESSAGE\nsubscription:s1\n\n\0",
}

LARGE = hashlib.shake_256(b"any bytes, the same in every run").digest(5 * 1024 * 1024)

HEADER_VALUES = {
    "colon": "a:b::c",
    "line end": "first\nsecond",
    "carriage return": "first\r\nsecond",
    "backslash": "c:\\new\\c",
    "unicode": "Zoë ☃ 日本",
    "blanks": "  before and after  ",
    "long": "x" * 5_000,
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_a_body_arrives_byte_for_byte(client: Client, destination: str, body: bytes) -> None:
    inbox = client.subscribe(destination)

    client.send(destination, body)

    assert inbox.wait(1)[0].body == body


def test_a_body_of_five_megabytes_arrives_byte_for_byte(client: Client, destination: str) -> None:
    inbox = client.subscribe(destination)

    client.send(destination, LARGE)

    # Not compared with ==: a difference would be printed, all of it.
    assert hashlib.sha256(inbox.wait(1)[0].body).digest() == hashlib.sha256(LARGE).digest()


@pytest.mark.parametrize("value", HEADER_VALUES.values(), ids=HEADER_VALUES)
def test_a_header_arrives_as_it_was_sent(client: Client, destination: str, value: str) -> None:
    inbox = client.subscribe(destination)

    client.send(destination, b"x", headers={"x-value": value})

    assert inbox.wait(1)[0].headers["x-value"] == value


def test_every_one_of_many_pipelined_sends_gets_its_receipt(client: Client, destination: str) -> None:
    bodies = [b"%d" % number for number in range(1_000)]

    client.send(destination, *bodies)

    assert client.bodies_left(destination, 1_000) == bodies


def test_threads_may_send_over_one_session_at_the_same_time(client: Client, destination: str) -> None:
    shares = [[b"%d.%d" % (thread, number) for number in range(100)] for thread in range(4)]

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda share: client.send(destination, *share), shares))

    assert sorted(client.bodies_left(destination, 400)) == sorted(itertools.chain(*shares))


def test_what_is_sent_in_a_transaction_comes_with_its_commit(client: Client, destination: str) -> None:
    inbox = client.subscribe(destination)
    client.session.request("BEGIN", {"transaction": "t"}).result(10)
    client.session.write(_send_in_transaction(client, destination, b"both"))

    client.wait_until_nothing_comes()
    assert len(inbox) == 0

    client.session.request("COMMIT", {"transaction": "t"}).result(10)
    assert inbox.wait(1)[0].body == b"both"


def test_what_is_sent_in_a_transaction_goes_with_its_abort(client: Client, destination: str) -> None:
    inbox = client.subscribe(destination)
    client.session.request("BEGIN", {"transaction": "t"}).result(10)
    client.session.write(_send_in_transaction(client, destination, b"never"))

    client.session.request("ABORT", {"transaction": "t"}).result(10)

    client.send(destination, b"after")
    assert [frame.body for frame in inbox.wait(1)] == [b"after"]


def _send_in_transaction(client: Client, destination: str, body: bytes) -> bytes:
    headers = {"destination": destination, "transaction": "t", **client.dialect.send_headers(destination)}
    return frames.encode("SEND", headers, body)

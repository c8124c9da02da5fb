"""Receipts and errors: which frame is answered how, and which error ends the connection."""

from __future__ import annotations

import pytest

from stompconsole.devbroker import FrameLimits
from tests.support.devbroker import RunningDevBroker, running_devbroker

QUEUE = "/queue/a"
TX = {"transaction": "t"}


def test_every_frame_is_receipted(broker: RunningDevBroker, version: str) -> None:
    broker.send(QUEUE, b"1", b"2")
    with broker.client(version) as client:
        client.done("SUBSCRIBE", {"id": "s", "destination": QUEUE, "ack": "client-individual"})
        for command, message in zip(("ACK", "NACK"), client.messages_so_far(), strict=True):
            client.settle(message, command, {"receipt": command})
            assert client.read_frame()["receipt-id"] == command
        client.done("UNSUBSCRIBE", {"id": "s"})
        for ending in ("COMMIT", "ABORT"):
            client.done("BEGIN", TX)
            client.done("SEND", {"destination": QUEUE, **TX})
            client.done(ending, TX)
        client.done("SEND", {"destination": QUEUE})
        client.done("DISCONNECT")


def test_without_a_receipt_header_nothing_answers(broker: RunningDevBroker, version: str) -> None:
    with broker.client(version) as client:
        client.send_frame("SEND", {"destination": QUEUE})
        client.send_frame("BEGIN", TX)
        client.messages_so_far()

    assert sum(line.startswith("<") for line in client.transcript) == 3, client.transcript


def test_receipts_come_in_order_when_many_are_awaited(broker: RunningDevBroker, version: str) -> None:
    with broker.client(version) as client:
        for number in range(1_000):
            client.send_frame("SEND", {"destination": QUEUE, "receipt": str(number)})
        receipts = [frame["receipt-id"] for frame in client.read_frames(1_000)]

    assert receipts == [str(number) for number in range(1_000)]
    assert broker.depth(QUEUE) == 1_000


def test_odd_receipt_ids_come_back_as_they_were(broker: RunningDevBroker, version: str) -> None:
    with broker.client(version) as client:
        client.send_frame("SEND", {"destination": QUEUE, "receipt": "a\\cb\\n\\\\\u00e9"})
        assert client.read_frame()["receipt-id"] == "a:b\n\\\u00e9"


def test_an_error_names_the_frame_it_answers_and_others_are_carried_out(broker: RunningDevBroker, version: str) -> None:
    with broker.client(version) as client:
        for receipt, destination in (("r1", QUEUE), ("r2", "nowhere"), ("r3", QUEUE)):
            client.send_frame("SEND", {"destination": destination, "receipt": receipt})
        answers = client.read_frames(3)

    assert [(answer.command, answer["receipt-id"]) for answer in answers] == [
        ("RECEIPT", "r1"),
        ("ERROR", "r2"),
        ("RECEIPT", "r3"),
    ]
    assert answers[1]["content-type"] == "text/plain"
    assert answers[1].body.decode() == answers[1]["message"]
    assert broker.depth(QUEUE) == 2


@pytest.mark.parametrize(
    ("command", "headers", "what"),
    [
        ("SEND", {}, "needs the header 'destination'"),
        ("SUBSCRIBE", {"destination": QUEUE}, "needs the header 'id'"),
        ("SUBSCRIBE", {"id": "s"}, "needs the header 'destination'"),
        ("SUBSCRIBE", {"id": "s", "destination": QUEUE, "ack": "bogus"}, "auto, client, client-individual"),
        ("SUBSCRIBE", {"id": "s", "destination": QUEUE, "selector": "a = 1"}, "knows no 'selector'"),
        ("SUBSCRIBE", {"id": "s", "destination": QUEUE, "browser": "true"}, "knows no 'browser'"),
        ("UNSUBSCRIBE", {"id": "nobody"}, "no subscription 'nobody'"),
        ("UNSUBSCRIBE", {}, "needs the header 'id'"),
    ],
)
def test_a_frame_that_can_not_be_carried_out_leaves_the_connection_open(
    broker: RunningDevBroker, version: str, command: str, headers: dict[str, str], what: str
) -> None:
    with broker.client(version) as client:
        assert what in client.refused(command, headers)
        client.done("SEND", {"destination": QUEUE})


def test_a_subscription_id_is_taken_once(broker: RunningDevBroker, version: str) -> None:
    subscribe = {"id": "s", "destination": QUEUE}
    with broker.client(version) as client:
        client.done("SUBSCRIBE", subscribe)
        assert "exists already" in client.refused("SUBSCRIBE", subscribe)
        client.done("UNSUBSCRIBE", {"id": "s"})
        client.done("SUBSCRIBE", subscribe)


def test_a_connection_has_so_many_subscriptions_at_most(broker: RunningDevBroker) -> None:
    with broker.client() as client:
        for number in range(1_000):
            client.send_frame("SUBSCRIBE", {"id": str(number), "destination": QUEUE})
        assert "the most it may have" in client.refused("SUBSCRIBE", {"id": "one more", "destination": QUEUE})


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"BOGUS\n\n\0", "no command"),
        (b"MESSAGE\n\n\0", "no command"),
        (b"SEND\nno colon\n\n\0", "no name and colon"),
        (b"SEND\nx:\\t\n\n\0", "no escape sequence"),
        (b"SEND\ncontent-length:1\n\nlong\0", "no NUL follows"),
        (b"SEND\ncontent-length:-1\n\n\0", "must be a number"),
        (b"BEGIN\ntransaction:t\n\nbody\0", "has a body"),
    ],
)
def test_a_frame_that_is_none_ends_the_connection(
    broker: RunningDevBroker, version: str, data: bytes, what: str
) -> None:
    broker.send(QUEUE, b"1")
    with broker.client(version) as client:
        client.done("SUBSCRIBE", {"id": "s", "destination": QUEUE, "ack": "client"})
        client.read_frame()
        client.send_bytes(data)
        (error,) = client.wait_until_closed()
        assert what in error["message"]
        assert broker.bodies(QUEUE) == [b"1"], "given back at once, not when the client closes its side"


def test_a_frame_over_the_limit_ends_the_connection() -> None:
    with running_devbroker(frames=FrameLimits(body_bytes=100)) as broker, broker.client() as client:
        client.done("SEND", {"destination": QUEUE, "content-length": "100"}, b"x" * 100)
        client.send_frame("SEND", {"destination": QUEUE, "content-length": "101"}, b"x" * 101)
        (error,) = client.wait_until_closed()

    assert "longer than 100 bytes" in error["message"]

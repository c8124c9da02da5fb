"""SEND to MESSAGE: bodies, headers, queues and topics."""

from __future__ import annotations

import pytest

from tests.support.devbroker import RunningDevBroker, running_devbroker
from tests.support.rawstomp import RawFrame, escape


def subscribe(destination: str, ack: str = "auto", identifier: str = "s") -> dict[str, str]:
    return {"id": identifier, "destination": destination, "ack": ack}


@pytest.mark.parametrize(
    ("body", "length_given"),
    [
        (b'{"a": 1}', False),
        (b'{"a": 1}', True),
        (b"", False),
        (b"", True),
        (b"\0\xff\n\n\0", True),
        (b"x" * 5_000_000, True),
    ],
    ids=["text", "text with length", "empty", "empty with length", "binary", "5 MB"],
)
def test_a_body_arrives_as_it_was_sent(broker: RunningDevBroker, version: str, body: bytes, length_given: bool) -> None:
    length = {"content-length": str(len(body))} if length_given else {}
    with broker.client(version) as client:
        client.send_frame("SUBSCRIBE", subscribe("/queue/a"))
        client.send_frame("SEND", {"destination": "/queue/a", **length}, body)
        message = client.read_frame()

    assert message.body == body
    assert ("content-length" in message.headers) == length_given, "its presence is mirrored, as on ActiveMQ"


def test_the_headers_of_a_message(broker: RunningDevBroker) -> None:
    with broker.client() as client:
        client.send_frame("SUBSCRIBE", subscribe("/queue/a", "client-individual"))
        client.done(
            "SEND",
            {"destination": "/queue/a", "content-type": "text/plain", "persistent": "true", "correlation-id": "c-1"},
            b"x",
        )
        message = client.read_frame()

    assert message.lines == (
        ("subscription", "s"),
        ("ack", message["ack"]),
        ("destination", "/queue/a"),
        ("message-id", message["message-id"]),
        ("content-type", "text/plain"),
        ("persistent", "true"),
        ("correlation-id", "c-1"),
    )


def test_stomp_1_1_and_mode_auto_get_no_ack_header(broker: RunningDevBroker) -> None:
    broker.send("/queue/a", b"1", b"2")
    with broker.client("1.1") as old, broker.client("1.2") as new:
        old.send_frame("SUBSCRIBE", {**subscribe("/queue/a", "client"), "prefetch-count": "1"})
        first = old.read_frame()
        new.send_frame("SUBSCRIBE", subscribe("/queue/a"))
        second = new.read_frame()

    assert "ack" not in first.headers
    assert "ack" not in second.headers


@pytest.mark.parametrize("value", ["a:b", "line\nbreak", "back\\slash", "\\n", " spaces ", "", "h\u00e9llo \U0001f42b"])
def test_header_names_and_values_survive(broker: RunningDevBroker, version: str, value: str) -> None:
    with broker.client(version) as client:
        client.send_frame("SUBSCRIBE", subscribe("/queue/a"))
        client.send_frame("SEND", {"destination": "/queue/a", "na\\cme": escape(value)})
        assert client.read_frame()["na:me"] == value


def test_a_carriage_return_survives_in_1_2(broker: RunningDevBroker) -> None:
    with broker.client() as client:
        client.send_frame("SUBSCRIBE", subscribe("/queue/a"))
        client.send_frame("SEND", {"destination": "/queue/a", "x": "a\\rb"})
        assert client.read_frame()["x"] == "a\rb"


def test_a_message_crosses_versions(broker: RunningDevBroker) -> None:
    with broker.client("1.1") as old, broker.client("1.2") as new:
        for client in (old, new):
            client.done("SUBSCRIBE", subscribe("/topic/t"))
        old.send_frame("SEND", {"destination": "/topic/t", "x": "a\\cb"}, b"body")
        messages = [client.read_frame() for client in (old, new)]

    assert [(message["x"], message.body) for message in messages] == [("a:b", b"body")] * 2


def test_headers_that_speak_to_the_broker_are_not_passed_on(broker: RunningDevBroker) -> None:
    forged = {"message-id": "forged", "ack": "forged", "subscription": "forged", "redelivered": "true"}
    with broker.client() as client:
        client.send_frame("SUBSCRIBE", subscribe("/queue/a"))
        client.done("SEND", {**forged, "destination": "/queue/a", "receipt-id": "x"})
        message = client.read_frame()

    assert message["subscription"] == "s"
    assert "forged" not in str(message)
    assert not {"receipt", "receipt-id", "redelivered", "ack"} & set(message.headers)


def test_a_queue_keeps_messages_in_order_until_somebody_comes(broker: RunningDevBroker, version: str) -> None:
    with broker.client(version) as sender:
        for number in range(50):
            sender.send_frame("SEND", {"destination": "/queue/a"}, b"%d" % number)
        sender.done("DISCONNECT")
    assert broker.depth("/queue/a") == 50
    with broker.client(version) as client:
        client.send_frame("SUBSCRIBE", subscribe("/queue/a"))
        bodies = [message.body for message in client.read_frames(50)]

    assert bodies == [b"%d" % number for number in range(50)]
    assert broker.depth("/queue/a") == 0


def test_consumers_of_a_queue_share_it_evenly(broker: RunningDevBroker, version: str) -> None:
    with broker.client(version) as one, broker.client(version) as two:
        for client in (one, two):
            client.done("SUBSCRIBE", subscribe("/queue/a", "client"))
        broker.send("/queue/a", *(b"%d" % number for number in range(10)))
        first, second = ([message.body for message in client.messages_so_far()] for client in (one, two))

    assert first == [b"0", b"2", b"4", b"6", b"8"]
    assert second == [b"1", b"3", b"5", b"7", b"9"]


def test_a_topic_goes_to_all_who_listen_and_is_kept_for_nobody(broker: RunningDevBroker, version: str) -> None:
    with broker.client(version) as one, broker.client(version) as two:
        one.done("SEND", {"destination": "/topic/t"}, b"too early")
        one.done("SUBSCRIBE", subscribe("/topic/t"))
        two.done("SUBSCRIBE", subscribe("/topic/t", "client"))
        one.done("SEND", {"destination": "/topic/t"}, b"now")
        messages: list[RawFrame] = [client.read_frame() for client in (one, two)]

        assert [message.body for message in messages] == [b"now", b"now"]
        assert messages[0]["message-id"] == messages[1]["message-id"]
        assert broker.unacked("/topic/t") == 1
    with broker.client(version) as late:
        late.done("SUBSCRIBE", subscribe("/topic/t"))
        assert late.messages_so_far() == []


def test_two_subscriptions_of_one_connection_each_get_a_topic(broker: RunningDevBroker) -> None:
    with broker.client() as client:
        for identifier in ("s1", "s2"):
            client.done("SUBSCRIBE", subscribe("/topic/t", identifier=identifier))
        client.done("SEND", {"destination": "/topic/t"}, b"x")
        messages = client.messages_so_far()

    assert [message["subscription"] for message in messages] == ["s1", "s2"]


def test_a_slow_listener_of_a_topic_loses_its_oldest_messages_and_holds_nobody_up() -> None:
    with running_devbroker(backlog_messages=3) as broker, broker.client() as slow, broker.client() as quick:
        slow.done("SUBSCRIBE", {**subscribe("/topic/t", "client"), "prefetch-count": "1"})
        quick.done("SUBSCRIBE", subscribe("/topic/t"))
        for number in range(10):
            quick.send_frame("SEND", {"destination": "/topic/t"}, b"%d" % number)
        assert len(quick.messages_so_far()) == 10
        held = slow.read_frame()
        for _ in range(3):
            slow.settle(held)
            held = slow.read_frame()

    assert held.body == b"9"


@pytest.mark.parametrize("destination", ["orders", "/queue/", "/topic/", "/bogus/x", "queue/x", ""])
def test_a_destination_that_is_none_is_refused(broker: RunningDevBroker, version: str, destination: str) -> None:
    with broker.client(version) as client:
        assert "neither /queue/<name> nor /topic/<name>" in client.refused("SEND", {"destination": destination})
        assert "neither" in client.refused("SUBSCRIBE", {"id": "s", "destination": destination})
        client.done("SEND", {"destination": "/queue/a"})


def test_a_full_queue_refuses_more_until_it_is_read(version: str) -> None:
    with running_devbroker(queue_messages=2) as broker, broker.client(version) as client:
        for _ in range(2):
            client.done("SEND", {"destination": "/queue/a"}, b"x")
        assert client.refused("SEND", {"destination": "/queue/a"}, b"x") == (
            "/queue/a is full: it holds 2 messages, the most it may"
        )
        client.done("SEND", {"destination": "/queue/b"}, b"x")
        client.done("SUBSCRIBE", {"id": "s", "destination": "/queue/a"})
        client.messages_so_far()
        client.done("SEND", {"destination": "/queue/a"}, b"x")


def test_all_queues_together_may_be_full() -> None:
    with running_devbroker(total_bytes=10_000) as broker, broker.client() as client:
        client.done("SEND", {"destination": "/queue/a"}, b"x" * 6_000)
        assert "the broker is full" in client.refused("SEND", {"destination": "/queue/b"}, b"x" * 6_000)
        client.done("SUBSCRIBE", {"id": "s", "destination": "/queue/a"})
        client.messages_so_far()
        client.done("SEND", {"destination": "/queue/b"}, b"x" * 6_000)


def test_room_held_by_an_open_transaction_counts() -> None:
    with running_devbroker(queue_messages=1) as broker, broker.client() as client:
        client.done("BEGIN", {"transaction": "t"})
        client.done("SEND", {"destination": "/queue/a", "transaction": "t"}, b"x")
        assert "full" in client.refused("SEND", {"destination": "/queue/a"}, b"x")
        client.done("ABORT", {"transaction": "t"})
        client.done("SEND", {"destination": "/queue/a"}, b"x")


@pytest.mark.parametrize("ending", ["ABORT", "COMMIT"])
def test_room_given_back_by_transactions_can_be_used_again(ending: str) -> None:
    transaction = {"transaction": "t"}
    with running_devbroker(total_bytes=10_000) as broker, broker.client() as client:
        client.done("SUBSCRIBE", {"id": "s", "destination": "/queue/a"})
        for _ in range(5):
            client.done("BEGIN", transaction)
            client.done("SEND", {"destination": "/queue/a", **transaction}, b"x" * 6_000)
            assert "the broker is full" in client.refused("SEND", {"destination": "/queue/b"}, b"x" * 6_000)
            client.done(ending, transaction)
            client.messages_so_far()

"""Ack modes, ACK and NACK, prefetch, and what goes back to where it was."""

from __future__ import annotations

import pytest

from stompconsole.devbroker import NackPolicy
from tests.support.devbroker import RunningDevBroker, running_devbroker
from tests.support.rawstomp import RawClient, RawFrame
from tests.support.waiting import until

QUEUE = "/queue/a"


def subscribed(broker: RunningDevBroker, version: str, ack: str, **headers: str) -> RawClient:
    client = broker.client(version)
    client.done("SUBSCRIBE", {"id": "s", "destination": QUEUE, "ack": ack, **headers})
    return client


def bodies(messages: list[RawFrame]) -> list[bytes]:
    return [message.body for message in messages]


def redelivered(messages: list[RawFrame]) -> list[str]:
    return [message.headers.get("redelivered", "false") for message in messages]


def numbers(*wanted: int) -> list[bytes]:
    return [b"%d" % number for number in wanted]


def test_mode_auto_settles_at_once(broker: RunningDevBroker, version: str) -> None:
    broker.send(QUEUE, *numbers(1, 2))
    with subscribed(broker, version, "auto") as client:
        assert bodies(client.messages_so_far()) == numbers(1, 2)
        assert (broker.depth(QUEUE), broker.unacked(QUEUE)) == (0, 0)


def test_no_ack_header_is_mode_auto(broker: RunningDevBroker, version: str) -> None:
    broker.send(QUEUE, b"1")
    with broker.client(version) as client:
        client.done("SUBSCRIBE", {"id": "s", "destination": QUEUE})
        assert len(client.messages_so_far()) == 1
        assert broker.unacked(QUEUE) == 0


def test_mode_client_settles_all_up_to_the_one_acked(broker: RunningDevBroker, version: str) -> None:
    broker.send(QUEUE, *numbers(0, 1, 2, 3, 4))
    with subscribed(broker, version, "client") as client:
        messages = client.messages_so_far()
        client.settle(messages[2])
        client.done("DISCONNECT")

    assert broker.bodies(QUEUE) == numbers(3, 4)


def test_mode_client_individual_settles_the_one_acked(broker: RunningDevBroker, version: str) -> None:
    broker.send(QUEUE, *numbers(0, 1, 2, 3, 4))
    with subscribed(broker, version, "client-individual") as client:
        messages = client.messages_so_far()
        client.settle(messages[2])
        client.done("DISCONNECT")

    assert broker.bodies(QUEUE) == numbers(0, 1, 3, 4)


def test_acks_in_one_write_with_a_close_right_behind_all_count(broker: RunningDevBroker, version: str) -> None:
    broker.send(QUEUE, *numbers(*range(8)))
    with subscribed(broker, version, "client-individual") as client:
        for message in client.messages_so_far()[:7]:
            client.settle(message)

    until(lambda: broker.connections() == 0, what="the connection is gone")
    assert broker.bodies(QUEUE) == numbers(7)


def test_nack_dead_letters_with_the_same_message_id(broker: RunningDevBroker, version: str) -> None:
    broker.send(QUEUE, b"bad", headers={"x": "1", "persistent": "true"})
    with subscribed(broker, version, "client-individual") as client:
        message = client.read_frame()
        client.settle(message, "NACK")
        client.done("SUBSCRIBE", {"id": "dlq", "destination": "/queue/DLQ.a", "ack": "client-individual"})
        dead = client.read_frame()

        assert dead["message-id"] == message["message-id"]
        assert dead["original-destination"] == QUEUE
        assert (dead["x"], dead["persistent"], dead.body) == ("1", "true", b"bad")
        assert "redelivered" not in dead.headers
        client.settle(dead, "NACK")
        client.done("DISCONNECT")

    assert broker.bodies("/queue/DLQ.DLQ.a") == [b"bad"]
    assert broker.destinations() == ["/queue/DLQ.DLQ.a"]


def test_a_topic_message_that_two_nack_is_dead_lettered_twice(broker: RunningDevBroker, version: str) -> None:
    with broker.client(version) as one, broker.client(version) as two:
        for client in (one, two):
            client.done("SUBSCRIBE", {"id": "s", "destination": "/topic/t", "ack": "client-individual"})
        broker.send("/topic/t", b"bad")
        for client in (one, two):
            client.settle(client.read_frame(), "NACK")
            client.messages_so_far()

    dead = broker.messages("/queue/DLQ.t")
    assert [message.body for message in dead] == [b"bad", b"bad"]
    assert dead[0].message_id != dead[1].message_id


def test_nack_in_mode_client_covers_all_before(broker: RunningDevBroker, version: str) -> None:
    broker.send(QUEUE, *numbers(0, 1, 2))
    with subscribed(broker, version, "client") as client:
        client.settle(client.messages_so_far()[1], "NACK")
        client.done("DISCONNECT")

    assert broker.bodies("/queue/DLQ.a") == numbers(0, 1)
    assert broker.bodies(QUEUE) == numbers(2)


def test_nack_may_requeue_at_the_original_place(version: str) -> None:
    with running_devbroker(nack=NackPolicy.REQUEUE) as broker:
        broker.send(QUEUE, *numbers(0, 1, 2))
        with subscribed(broker, version, "client-individual", **{"prefetch-count": "2"}) as client:
            first = client.messages_so_far()
            client.settle(first[0], "NACK")
            (again,) = client.messages_so_far()

            assert again.body == b"0"
            assert again["redelivered"] == "true"
            assert again["message-id"] == first[0]["message-id"]


def test_nack_may_discard(version: str) -> None:
    with running_devbroker(nack=NackPolicy.DISCARD) as broker:
        broker.send(QUEUE, b"bad")
        with subscribed(broker, version, "client-individual") as client:
            client.settle(client.read_frame(), "NACK")
            client.done("DISCONNECT")

        assert broker.destinations() == []


@pytest.mark.parametrize("header", ["prefetch-count", "activemq.prefetchSize"])
def test_no_more_are_out_than_the_prefetch_allows(broker: RunningDevBroker, version: str, header: str) -> None:
    broker.send(QUEUE, *numbers(*range(5)))
    with subscribed(broker, version, "client-individual", **{header: "2"}) as client:
        first = client.messages_so_far()
        assert bodies(first) == numbers(0, 1)
        assert (broker.unacked(QUEUE), broker.depth(QUEUE)) == (2, 3)
        client.settle(first[1])
        assert bodies(client.messages_so_far()) == numbers(2)


def test_the_prefetch_is_a_thousand_unless_set(broker: RunningDevBroker) -> None:
    broker.send(QUEUE, *([b"x"] * 1_100))
    with subscribed(broker, "1.2", "client-individual") as client:
        client.read_frames(1_000)
        assert client.messages_so_far() == []


@pytest.mark.parametrize("text", ["0", "-1", "many", "", "99999999999"])
def test_a_prefetch_that_is_none_is_refused(broker: RunningDevBroker, text: str) -> None:
    with broker.client() as client:
        subscribe = {"id": "s", "destination": QUEUE, "prefetch-count": text}
        assert "must be a whole number from 1" in client.refused("SUBSCRIBE", subscribe)


def test_a_consumer_with_room_gets_what_a_full_one_can_not_take(broker: RunningDevBroker, version: str) -> None:
    with (
        subscribed(broker, version, "client-individual", **{"prefetch-count": "1"}) as narrow,
        subscribed(broker, version, "client-individual", **{"prefetch-count": "10"}) as wide,
    ):
        broker.send(QUEUE, *numbers(*range(6)))
        assert bodies(narrow.messages_so_far()) == numbers(0)
        assert bodies(wide.messages_so_far()) == numbers(1, 2, 3, 4, 5)


@pytest.mark.parametrize("how", ["close", "reset"])
def test_what_a_lost_client_held_goes_back_to_its_place(broker: RunningDevBroker, version: str, how: str) -> None:
    broker.send(QUEUE, *numbers(*range(6)))
    client = subscribed(broker, version, "client-individual", **{"prefetch-count": "4"})
    first = client.messages_so_far()
    client.settle(first[1])
    client.messages_so_far()
    getattr(client, how)()
    until(lambda: broker.unacked(QUEUE) == 0, what="all is back")

    with subscribed(broker, version, "client-individual") as heir:
        second = heir.messages_so_far()
    assert bodies(second) == numbers(0, 2, 3, 4, 5)
    assert redelivered(second) == ["true", "true", "true", "true", "false"]
    assert second[0]["message-id"] == first[0]["message-id"]


def test_unsubscribe_gives_back_what_is_held(broker: RunningDevBroker, version: str) -> None:
    broker.send(QUEUE, *numbers(0, 1, 2))
    with subscribed(broker, version, "client-individual", **{"prefetch-count": "2"}) as client:
        held = client.messages_so_far()
        client.done("UNSUBSCRIBE", {"id": "s"})
        assert broker.bodies(QUEUE) == numbers(0, 1, 2)
        client.settle(held[0])
        assert "unexpected ACK" in client.read_frame()["message"]
        client.done("SUBSCRIBE", {"id": "s", "destination": QUEUE, "ack": "client-individual"})
        again = client.messages_so_far()

    assert bodies(again) == numbers(0, 1, 2)
    assert redelivered(again) == ["true", "true", "false"]


def test_two_drops_of_different_size_keep_the_order(broker: RunningDevBroker, version: str) -> None:
    broker.send(QUEUE, *numbers(*range(6)))
    for prefetch in ("5", "1", "3"):
        with subscribed(broker, version, "client", **{"prefetch-count": prefetch}) as client:
            assert client.read_frame().body == b"0"
        until(lambda: broker.connections() == 0, what="the connection is gone")

    assert broker.bodies(QUEUE) == numbers(*range(6))


def test_an_ack_of_what_is_not_held_is_refused_and_the_connection_stays(broker: RunningDevBroker, version: str) -> None:
    unknown = {"id": "7@s"} if version == "1.2" else {"message-id": "7", "subscription": "s"}
    broker.send(QUEUE, b"1")
    with subscribed(broker, version, "client-individual") as client:
        message = client.read_frame()
        assert "unexpected ACK" in client.refused("ACK", unknown)
        client.settle(message)
        client.settle(message, headers={"receipt": "twice"})
        answer = client.read_frame()
        assert (answer.command, answer["receipt-id"]) == ("ERROR", "twice")
        client.done("SEND", {"destination": QUEUE})


def test_nobody_settles_what_another_connection_holds(broker: RunningDevBroker, version: str) -> None:
    broker.send(QUEUE, *numbers(1, 2))
    with (
        subscribed(broker, version, "client-individual", **{"prefetch-count": "1"}) as one,
        subscribed(broker, version, "client-individual", **{"prefetch-count": "1"}) as two,
    ):
        theirs = one.read_frame()
        two.read_frame()
        two.settle(theirs)
        assert two.read_frame().command == "ERROR"
        assert broker.unacked(QUEUE) == 2


def test_an_ack_in_the_words_of_the_other_version_is_refused(broker: RunningDevBroker) -> None:
    with broker.client("1.2") as new, broker.client("1.1") as old:
        assert "needs the header 'id'" in new.refused("ACK", {"message-id": "1", "subscription": "s"})
        assert "needs the header 'message-id'" in old.refused("ACK", {"id": "1"})
        assert "needs the header 'subscription'" in old.refused("ACK", {"message-id": "1"})


def test_odd_subscription_ids_work(broker: RunningDevBroker, version: str) -> None:
    broker.send(QUEUE, b"1")
    with broker.client(version) as client:
        client.done("SUBSCRIBE", {"id": "a@b\\cc\\nd\\\\", "destination": QUEUE, "ack": "client-individual"})
        message = client.read_frame()
        client.settle(message)
        client.done("DISCONNECT")

    assert message["subscription"] == "a@b:c\nd\\"
    assert broker.destinations() == []

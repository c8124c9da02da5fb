"""Faults that tests script, from their own thread."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from stompconsole.devbroker.refusals import AfterError
from tests.support.devbroker import RunningDevBroker
from tests.support.rawstomp import RawClient, RawFrame
from tests.support.waiting import until

QUEUE = "/queue/a"
PERSISTENT = {"persistent": "true"}


def subscribed(broker: RunningDevBroker, destination: str = QUEUE) -> RawClient:
    client = broker.client()
    client.done("SUBSCRIBE", {"id": "s", "destination": destination, "ack": "client-individual"})
    return client


def test_cut_connections_are_reset_and_their_messages_are_back(broker: RunningDevBroker) -> None:
    broker.send(QUEUE, b"1")
    with subscribed(broker) as client:
        client.read_frame()
        assert broker.faults.cut_connections() == 1
        assert broker.bodies(QUEUE) == [b"1"]
        with pytest.raises(ConnectionResetError):
            client.read_frame()
    broker.client().close()


def test_a_frozen_broker_says_nothing_until_it_thaws(broker: RunningDevBroker) -> None:
    with subscribed(broker) as client, RawClient(broker.host, broker.port) as newcomer:
        client.send_frame("SEND", {"destination": QUEUE, "receipt": "before"})
        client.read_frames(2)
        broker.faults.freeze()
        client.send_frame("SEND", {"destination": QUEUE, "receipt": "while"})
        newcomer.send_frame("CONNECT", {"accept-version": "1.2", "host": "/"})
        broker.send(QUEUE, b"put in")
        assert client.stays_silent()
        assert newcomer.stays_silent(0.05)
        assert broker.depth(QUEUE) == 1
        broker.faults.thaw()
        assert newcomer.read_frame().command == "CONNECTED"
        assert sorted(frame.command for frame in client.read_frames(3)) == ["MESSAGE", "MESSAGE", "RECEIPT"]


def test_a_client_that_comes_while_the_broker_is_frozen_gets_no_answer(broker: RunningDevBroker) -> None:
    broker.faults.freeze()
    with RawClient(broker.host, broker.port) as client:
        client.send_frame("CONNECT", {"accept-version": "1.2", "host": "/"})
        assert client.stays_silent(0.1)
        broker.faults.clear()
        assert client.read_frame().command == "CONNECTED"


@pytest.mark.long
def test_a_frozen_broker_does_not_beat_and_misses_no_beats(broker: RunningDevBroker) -> None:
    with broker.client(headers={"heart-beat": "300,50"}) as client:
        client.wait_for_beat()
        broker.faults.freeze()
        client.stays_silent(0.05)
        before = client.beats
        assert client.stays_silent(0.8)
        assert client.beats <= before + 1, "what was on its way came"
        assert broker.connections() == 1
        broker.faults.thaw()
        client.wait_for_beat()


def test_refused_connections_are_cut_at_once(broker: RunningDevBroker) -> None:
    with subscribed(broker) as client:
        broker.faults.refuse_connections()
        with pytest.raises(ConnectionError), RawClient(broker.host, broker.port) as newcomer:
            newcomer.connect()
        client.done("SEND", {"destination": QUEUE})
    broker.faults.clear()
    broker.client().close()


def test_refused_connects_get_the_text_given(broker: RunningDevBroker) -> None:
    broker.faults.refuse_connects("Virtual host 'nope' access denied")
    with RawClient(broker.host, broker.port) as client:
        client.send_frame("CONNECT", {"accept-version": "1.2", "host": "nope"})
        (answer,) = client.wait_until_closed()

    assert answer["message"] == "Virtual host 'nope' access denied"


def test_swallowed_receipts_do_not_come_though_the_frame_is_carried_out(broker: RunningDevBroker) -> None:
    broker.faults.swallow_receipts()
    with broker.client() as client:
        client.send_frame("SEND", {"destination": QUEUE, "receipt": "r"}, b"1")
        until(lambda: broker.depth(QUEUE) == 1, what="the message is there")
        assert client.stays_silent(0.05)
        broker.faults.clear()
        client.done("SEND", {"destination": QUEUE})


def test_sends_to_one_destination_are_refused(broker: RunningDevBroker) -> None:
    broker.faults.refuse_sends("store is full", QUEUE)
    with broker.client() as client:
        assert client.refused("SEND", {"destination": QUEUE}) == "store is full"
        client.done("SEND", {"destination": "/queue/b"})
        broker.faults.clear()
        client.done("SEND", {"destination": QUEUE})


def test_sends_to_anywhere_are_refused_and_the_connection_closed(broker: RunningDevBroker) -> None:
    broker.faults.refuse_sends("access refused", after=AfterError.CLOSE)
    with broker.client() as client:
        client.send_frame("SEND", {"destination": "/queue/any", "receipt": "r1"})
        (answer,) = client.wait_until_closed()

    assert (answer["receipt-id"], answer["message"]) == ("r1", "access refused")


@pytest.mark.parametrize("count", [1, 3])
def test_a_connection_is_dropped_after_so_many_sends_the_last_one_unanswered(
    broker: RunningDevBroker, count: int
) -> None:
    broker.faults.drop_after(count, "SEND")
    with broker.client() as client:
        for _ in range(count - 1):
            client.done("SEND", {"destination": QUEUE})
        client.send_frame("SEND", {"destination": QUEUE, "receipt": "last"})
        with pytest.raises(ConnectionResetError):
            client.read_frame()
    assert broker.depth(QUEUE) == count, "the last one was carried out"
    with broker.client() as again:
        again.done("SEND", {"destination": QUEUE})


def test_a_connection_is_dropped_after_so_many_acks(broker: RunningDevBroker) -> None:
    broker.send(QUEUE, b"1", b"2", b"3")
    broker.faults.drop_after(2, "ACK")
    with subscribed(broker) as client:
        messages = client.messages_so_far()
        with pytest.raises(ConnectionResetError):
            settle_and_read_on(client, messages)

    assert broker.bodies(QUEUE) == [b"3"]


def settle_and_read_on(client: RawClient, messages: Sequence[RawFrame]) -> None:
    """In one: a connection that was cut is noticed by the next write as well as by the next read."""
    for message in messages:
        client.settle(message)
    client.read_frame()


def test_a_count_below_one_is_refused(broker: RunningDevBroker) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        broker.faults.drop_after(0, "SEND")


def test_a_blocked_send_holds_up_its_connection_and_no_other(broker: RunningDevBroker) -> None:
    broker.send(QUEUE, b"1", b"2")
    with subscribed(broker) as blocked, broker.client(headers={"heart-beat": "0,50"}) as other:
        first, _ = blocked.messages_so_far()
        broker.faults.block_sends("/queue/full")
        blocked.send_frame("SEND", {"destination": "/queue/full", "receipt": "blocked"}, b"x")
        blocked.settle(first)
        other.done("SEND", {"destination": QUEUE}, b"3")
        other.send_frame("SEND", {"destination": "/queue/full"}, b"y")
        other.wait_for_beat()
        assert blocked.stays_silent()
        assert (broker.unacked(QUEUE), broker.depth(QUEUE)) == (2, 1), "neither ACK nor delivery behind it"
        broker.faults.unblock_sends()
        assert blocked.read_frame()["receipt-id"] == "blocked"
        assert blocked.read_frame().body == b"3"
        until(lambda: broker.depth("/queue/full") == 2, what="both SENDs were carried out")


def test_a_second_block_holds_up_the_frames_behind_the_first(broker: RunningDevBroker) -> None:
    with broker.client() as client:
        broker.faults.block_sends()
        for destination in ("/queue/one", "/queue/two"):
            client.send_frame("SEND", {"destination": destination, "receipt": destination})
        assert client.stays_silent(0.05)
        broker.faults.freeze()
        broker.faults.unblock_sends()
        assert client.stays_silent(0.05)
        assert broker.destinations() == []
        broker.faults.thaw()
        assert [frame["receipt-id"] for frame in client.read_frames(2)] == ["/queue/one", "/queue/two"]


@pytest.mark.long
def test_a_blocked_and_silent_client_is_not_closed(broker: RunningDevBroker) -> None:
    broker.faults.block_sends()
    with broker.client(headers={"heart-beat": "300,50"}) as client:
        client.send_frame("SEND", {"destination": QUEUE, "receipt": "r"})
        for _ in range(30):
            client.wait_for_beat()
        broker.faults.clear()
        assert client.read_frame()["receipt-id"] == "r"


def test_a_restart_keeps_what_is_persistent_in_order(broker: RunningDevBroker) -> None:
    port = broker.port
    broker.send(QUEUE, b"1", b"2", headers=PERSISTENT)
    broker.send(QUEUE, b"gone")
    broker.send(QUEUE, b"3", headers=PERSISTENT)
    broker.send("/queue/b", b"gone", headers={"persistent": "True"})
    with subscribed(broker) as client:
        messages = client.messages_so_far()
        client.settle(messages[0])
        client.done("BEGIN", {"transaction": "t"})
        client.settle(messages[1], headers={"transaction": "t"})
        client.done("SEND", {"destination": QUEUE, "transaction": "t", **PERSISTENT}, b"never committed")
        broker.restart()
        assert client.wait_until_closed() == []

    assert broker.port == port
    assert broker.destinations() == [QUEUE]
    with subscribed(broker) as client:
        again = client.messages_so_far()
    assert [message.body for message in again] == [b"2", b"3"]
    assert [message.headers.get("redelivered") for message in again] == [None, None], "as ActiveMQ after a restart"
    assert again[0]["message-id"] == messages[1]["message-id"]


def test_a_stopped_broker_refuses_connections_and_keeps_messages(broker: RunningDevBroker) -> None:
    broker.send(QUEUE, b"1")
    broker.stop()
    with pytest.raises(ConnectionRefusedError):
        RawClient(broker.host, broker.port)
    broker.stop()
    broker.start()
    broker.start()
    with subscribed(broker) as client:
        assert client.read_frame().body == b"1"

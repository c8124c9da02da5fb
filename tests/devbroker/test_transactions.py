"""BEGIN, COMMIT and ABORT of SEND, ACK and NACK: all or nothing."""

from __future__ import annotations

import pytest

from tests.support.devbroker import RunningDevBroker, running_devbroker
from tests.support.rawstomp import RawClient, RawFrame
from tests.support.waiting import until

QUEUE, TARGET = "/queue/a", "/queue/b"
TX = {"transaction": "t"}


def holding(broker: RunningDevBroker, version: str, *bodies: bytes, ack: str = "client-individual") -> RawClient:
    broker.send(QUEUE, *bodies)
    client = broker.client(version)
    client.done("SUBSCRIBE", {"id": "s", "destination": QUEUE, "ack": ack})
    return client


def moved(client: RawClient, message: RawFrame, command: str = "ACK") -> None:
    client.done("BEGIN", TX)
    client.done("SEND", {"destination": TARGET, **TX}, message.body)
    client.settle(message, command, TX)


def test_nothing_is_seen_before_commit_and_all_after(broker: RunningDevBroker, version: str) -> None:
    with holding(broker, version, b"1") as client:
        moved(client, client.read_frame())
        client.messages_so_far()
        assert (broker.unacked(QUEUE), broker.depth(TARGET)) == (1, 0)
        client.done("COMMIT", TX)
        assert (broker.unacked(QUEUE), broker.bodies(TARGET)) == (0, [b"1"])


def test_a_nack_counts_at_commit(broker: RunningDevBroker, version: str) -> None:
    with holding(broker, version, b"1") as client:
        client.done("BEGIN", TX)
        client.settle(client.read_frame(), "NACK", TX)
        client.messages_so_far()
        assert broker.depth("/queue/DLQ.a") == 0
        client.done("COMMIT", TX)
        assert broker.bodies("/queue/DLQ.a") == [b"1"]


def test_abort_undoes_and_the_message_is_still_held(broker: RunningDevBroker, version: str) -> None:
    with holding(broker, version, b"1") as client:
        message = client.read_frame()
        moved(client, message)
        client.done("ABORT", TX)
        assert client.messages_so_far() == [], "not delivered again"
        assert (broker.unacked(QUEUE), broker.depth(TARGET)) == (1, 0)
        client.settle(message)
        client.done("DISCONNECT")

    assert broker.destinations() == []


def test_a_lost_connection_undoes(broker: RunningDevBroker, version: str) -> None:
    with holding(broker, version, b"1") as client:
        moved(client, client.read_frame())
        client.messages_so_far()
        client.reset()
        until(lambda: broker.bodies(QUEUE) == [b"1"], what="the message is back")

    assert broker.messages(QUEUE)[0].redelivered
    assert broker.destinations() == [QUEUE]


def test_what_a_transaction_is_going_to_settle_can_not_be_settled_again(broker: RunningDevBroker, version: str) -> None:
    with holding(broker, version, b"1") as client:
        message = client.read_frame()
        moved(client, message)
        client.settle(message)
        assert "unexpected ACK" in client.read_frame()["message"]
        client.done("COMMIT", TX)
        client.done("DISCONNECT")

    assert broker.destinations() == [TARGET]


def test_a_cumulative_ack_covers_what_was_there_when_it_came(broker: RunningDevBroker, version: str) -> None:
    with holding(broker, version, b"1", b"2", b"3", ack="client") as client:
        first, second, _ = client.messages_so_far()
        client.done("BEGIN", TX)
        client.settle(first, headers=TX)
        client.settle(second)
        client.done("ABORT", TX)
        client.done("DISCONNECT")

    assert broker.bodies(QUEUE) == [b"1", b"3"]


@pytest.mark.parametrize(("ending", "left"), [("COMMIT", [b"2"]), ("ABORT", [b"1", b"2"])])
def test_unsubscribe_leaves_the_transaction_what_it_settles(
    broker: RunningDevBroker, version: str, ending: str, left: list[bytes]
) -> None:
    with holding(broker, version, b"1", b"2") as client:
        client.done("BEGIN", TX)
        client.settle(client.messages_so_far()[0], headers=TX)
        client.done("UNSUBSCRIBE", {"id": "s"})
        assert broker.bodies(QUEUE) == [b"2"]
        client.done(ending, TX)

        assert broker.bodies(QUEUE) == left


def test_two_transactions_do_not_mix(broker: RunningDevBroker, version: str) -> None:
    with broker.client(version) as client:
        for name in ("t1", "t2"):
            client.done("BEGIN", {"transaction": name})
            client.done("SEND", {"destination": QUEUE, "transaction": name}, name.encode())
        client.done("ABORT", {"transaction": "t1"})
        client.done("COMMIT", {"transaction": "t2"})

    assert broker.bodies(QUEUE) == [b"t2"]


@pytest.mark.parametrize(
    ("command", "headers"),
    [("COMMIT", TX), ("ABORT", TX), ("SEND", {"destination": QUEUE, **TX})],
)
def test_an_unknown_transaction_is_refused(
    broker: RunningDevBroker, version: str, command: str, headers: dict[str, str]
) -> None:
    with broker.client(version) as client:
        assert "no transaction 't'" in client.refused(command, headers)
        assert "needs the header" in client.refused("BEGIN")
        client.done("BEGIN", TX)
        assert "already started" in client.refused("BEGIN", TX)


def test_a_name_is_free_again_after_its_end(broker: RunningDevBroker, version: str) -> None:
    with broker.client(version) as client:
        for ending in ("COMMIT", "ABORT", "COMMIT"):
            client.done("BEGIN", TX)
            client.done(ending, TX)


def test_a_refused_send_undoes_its_transaction(broker: RunningDevBroker, version: str) -> None:
    with holding(broker, version, b"1") as client:
        message = client.read_frame()
        client.done("BEGIN", TX)
        client.done("SEND", {"destination": TARGET, **TX}, b"fine")
        client.refused("SEND", {"destination": "nowhere", **TX}, b"bad")
        client.settle(message, headers=TX)
        assert "'nowhere'" in client.refused("COMMIT", TX)
        client.done("DISCONNECT")

    assert broker.bodies(QUEUE) == [b"1"]
    assert broker.destinations() == [QUEUE]


def test_a_send_with_no_room_undoes_its_transaction() -> None:
    with running_devbroker(queue_messages=1) as broker, broker.client() as client:
        client.done("BEGIN", TX)
        client.done("SEND", {"destination": QUEUE, **TX})
        client.refused("SEND", {"destination": QUEUE, **TX})
        assert "full" in client.refused("COMMIT", TX)

        assert broker.destinations() == []


def test_a_connection_has_so_many_transactions_at_most(broker: RunningDevBroker) -> None:
    with broker.client() as client:
        for number in range(1_000):
            client.send_frame("BEGIN", {"transaction": str(number)})
        assert "the most it may have" in client.refused("BEGIN", {"transaction": "one more"})

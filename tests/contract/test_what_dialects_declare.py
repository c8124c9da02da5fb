"""What a dialect declares is what its broker does."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from stompconsole.brokers import NackMeans
from stompconsole.delivery.specs import dead_letter_destination
from stompconsole.errors import BrokerRefused, SessionClosed
from stompconsole.transport import frames
from tests.contract.client import Client

OpenClient = Callable[..., Client]


def test_a_refused_frame_fails_its_future_and_ends_the_session_where_the_dialect_says_so(
    client: Client, destination: str
) -> None:
    refused = client.session.request("COMMIT", {"transaction": "never begun"})

    with pytest.raises(BrokerRefused, match="never begun"):
        refused.result(10)

    if client.dialect.error_ends_session:
        assert "never begun" in client.wait_until_closed()
    else:
        client.send(destination, b"goes on")


def test_an_abort_undoes_an_ack_unless_the_dialect_knows_better(
    open_client: OpenClient, client: Client, destination: str
) -> None:
    client.send(destination, b"kept or lost")
    message = client.subscribe(destination).wait(1)[0]
    ack = {"id": client.ack_id(message), "transaction": "t"}

    client.session.request("BEGIN", {"transaction": "t"}).result(10)
    client.session.write(frames.encode("ACK", ack))
    client.session.request("ABORT", {"transaction": "t"}).result(10)

    if client.dialect.acks_in_transactions:
        # Still ours and un-acked: it can be settled once more, and is gone then.
        client.ack(message)
        assert client.session.close_reason is None
    client.disconnect()
    assert open_client().bodies_left(destination, 0) == []


def test_a_nack_does_what_the_dialect_says(open_client: OpenClient, client: Client, destination: str) -> None:
    client.send(destination, b"nacked")
    inbox = client.subscribe(destination)
    client.nack(inbox.wait(1)[0])

    match client.dialect.nack_means:
        case NackMeans.REQUEUED:
            assert inbox.wait(2)[1].body == b"nacked"
        case NackMeans.DEAD_LETTERED:
            assert open_client().bodies_left(dead_letter_destination(destination), 1) == [b"nacked"]
        case NackMeans.LOST:
            client.disconnect()
            assert open_client().bodies_left(destination, 0) == []
        case NackMeans.UNKNOWN:
            assert client.session.close_reason is None


def test_a_message_with_an_ack_header_of_its_own_can_be_acked(
    open_client: OpenClient, client: Client, destination: str
) -> None:
    client.send(destination, b"mine", headers={"ack": "of the team"})
    message = client.subscribe(destination).wait(1)[0]

    client.ack(message)

    client.disconnect()
    assert open_client().bodies_left(destination, 0) == []


def test_a_stable_id_names_a_message_over_redeliveries(
    open_client: OpenClient, client: Client, destination: str
) -> None:
    client.send(destination, b"one", b"other")
    first = client.subscribe(destination).wait(2)
    client.disconnect()

    again = open_client().subscribe(destination).wait(2)

    ids = [client.dialect.stable_id(message.headers) for message in first]
    assert [client.dialect.stable_id(message.headers) for message in again] == ids
    assert len(set(ids)) == (2 if any(ids) else 1)


def test_a_duplicate_id_keeps_a_second_send_out(client: Client, destination: str) -> None:
    header = client.dialect.duplicate_id_header or "x-nothing-comes-of-this"

    client.send(destination, b"one", b"again", headers={header: "the same"})

    kept = [b"one"] if client.dialect.duplicate_id_header else [b"one", b"again"]
    assert client.bodies_left(destination, len(kept)) == kept


@pytest.mark.parametrize("any_broker", ["activemq", "activemq6", "artemis", "artemis_prefixed"], indirect=True)
def test_a_selector_is_honoured_where_the_dialect_says_so(client: Client, destination: str) -> None:
    assert client.dialect.selectors
    client.send(destination, b"red", headers={"color": "red"})
    client.send(destination, b"blue", headers={"color": "blue"})

    inbox = client.subscribe(destination, headers={"selector": "color = 'blue'"})
    client.wait_until_nothing_comes()

    assert inbox.bodies() == [b"blue"]


def test_what_is_written_behind_an_error_is_not_taken_for_done_unless_confirmed(
    open_client: OpenClient, client: Client, destination: str
) -> None:
    headers = {"destination": destination, **client.dialect.send_headers(destination)}
    client.session.request("COMMIT", {"transaction": "never begun"})
    behind = client.session.request("SEND", headers, b"behind")

    confirmed = behind.exception(20)

    assert confirmed is None or isinstance(confirmed, SessionClosed | BrokerRefused)
    if confirmed is None:
        assert open_client().bodies_left(destination, 1) == [b"behind"]

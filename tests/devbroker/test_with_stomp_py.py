"""Plain stomp.py gets along with it."""

from __future__ import annotations

import queue

import pytest
import stomp
from stomp.utils import Frame

from tests.support.devbroker import RunningDevBroker
from tests.support.waiting import until

TIMEOUT_S = 10.0


class Inbox(stomp.ConnectionListener):  # type: ignore[misc]
    def __init__(self) -> None:
        self.frames: queue.Queue[tuple[str, Frame | None]] = queue.Queue()

    def on_message(self, frame: Frame) -> None:
        self.frames.put(("message", frame))

    def on_receipt(self, frame: Frame) -> None:
        self.frames.put(("receipt", frame))

    def on_error(self, frame: Frame) -> None:
        self.frames.put(("error", frame))

    def on_disconnected(self) -> None:
        self.frames.put(("disconnected", None))

    def next(self, kind: str) -> Frame:
        found, frame = self.frames.get(timeout=TIMEOUT_S)
        assert found == kind
        return frame


@pytest.mark.parametrize("connection_class", [stomp.Connection11, stomp.Connection12])
def test_stomp_py_sends_receives_acks_and_leaves(
    broker: RunningDevBroker, connection_class: type[stomp.Connection12]
) -> None:
    inbox = Inbox()
    connection = connection_class([(broker.host, broker.port)], heartbeats=(1000, 1000))
    connection.set_listener("inbox", inbox)
    connection.connect("app", "se:cret", wait=True)
    connection.subscribe("/queue/a", id="s", ack="client-individual", receipt="subscribed")
    assert inbox.next("receipt").headers["receipt-id"] == "subscribed"
    connection.send("/queue/a", "h\u00e9llo", headers={"x": "a:b", "persistent": "true"})
    message = inbox.next("message")
    assert (message.body, message.headers["x"]) == ("h\u00e9llo", "a:b")
    assert broker.unacked("/queue/a") == 1
    if connection_class is stomp.Connection12:
        connection.ack(message.headers["ack"])
    else:
        connection.ack(message.headers["message-id"], "s")
    until(lambda: broker.unacked("/queue/a") == 0, what="the ACK counted")
    connection.disconnect(receipt="bye")
    # stomp.py tells the end before the receipt that brought it.
    inbox.next("disconnected")
    assert inbox.next("receipt").headers["receipt-id"] == "bye"

    until(lambda: broker.connections() == 0, what="the connection is gone")
    assert broker.depth("/queue/a") == 0

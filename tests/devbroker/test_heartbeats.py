"""Heart-beats both ways."""

from __future__ import annotations

import time

import pytest

from tests.support.devbroker import RunningDevBroker
from tests.support.waiting import until


@pytest.mark.parametrize(
    ("asked", "agreed"), [("1000,2000", "2000,1000"), ("0,1000", "1000,0"), ("5000,0", "0,5000"), ("1,1", "20,20")]
)
def test_the_broker_agrees_to_what_the_client_asks(broker: RunningDevBroker, asked: str, agreed: str) -> None:
    with broker.client(headers={"heart-beat": asked}) as client:
        assert f"heart-beat:{agreed.replace(':', '')}" in client.transcript[-1]


def test_the_broker_beats_as_often_as_agreed(broker: RunningDevBroker, version: str) -> None:
    with broker.client(version, {"heart-beat": "0,100"}) as client:
        for _ in range(3):
            client.wait_for_beat()


@pytest.mark.long
def test_a_silent_client_is_closed_after_twice_its_promise(broker: RunningDevBroker, version: str) -> None:
    broker.send("/queue/a", b"1")
    with broker.client(version, {"heart-beat": "300,0"}) as client:
        client.done("SUBSCRIBE", {"id": "s", "destination": "/queue/a", "ack": "client"})
        client.read_frame()
        began = time.monotonic()
        assert client.wait_until_closed() == [], "no ERROR, as real brokers"
        assert 0.3 < time.monotonic() - began < 3.0
    until(lambda: broker.bodies("/queue/a") == [b"1"], what="the message is back")


@pytest.mark.long
def test_a_client_that_beats_or_speaks_is_not_closed(broker: RunningDevBroker, version: str) -> None:
    with broker.client(version, {"heart-beat": "400,100"}) as client:
        for _ in range(20):
            client.wait_for_beat()
            client.send_bytes(b"\n")
        client.done("SEND", {"destination": "/queue/a"})


def test_without_heart_beats_nobody_is_closed_or_beaten(broker: RunningDevBroker) -> None:
    with broker.client() as client:
        assert client.stays_silent(0.3)
        assert client.beats == 0
        client.done("SEND", {"destination": "/queue/a"})

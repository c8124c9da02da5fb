"""How much waits where, asked of the development broker."""

from __future__ import annotations

import json

import pytest

from stompconsole.devbroker.depths import QUESTIONS
from tests.support.devbroker import RunningDevBroker

ANSWERS = "/topic/answers"


def test_it_tells_what_waits_is_held_and_how_old_the_first_is(broker: RunningDevBroker) -> None:
    broker.send("/queue/a", b"1", b"2")
    with broker.client() as client:
        client.done("SUBSCRIBE", {"id": "answers", "destination": ANSWERS})
        client.done("SUBSCRIBE", {"id": "s", "destination": "/queue/a", "ack": "client", "prefetch-count": "1"})
        client.messages_so_far()
        asked = json.dumps(["/queue/a", "/queue/none"]).encode()
        client.send_frame("SEND", {"destination": QUESTIONS, "reply-to": ANSWERS, "correlation-id": "c"}, asked)
        answer = client.read_frame()
    assert answer["correlation-id"] == "c"
    (found,) = json.loads(answer.body).values()
    assert (found["waiting"], found["in_flight"], found["consumers"]) == (1, 1, 1)
    assert 0 <= found["oldest_s"] < 60
    assert QUESTIONS not in broker.destinations()


@pytest.mark.parametrize("body", [b"", b"{}", b"[1]", b'["/topic/a"]', b"\xff"])
def test_a_question_that_makes_no_sense_is_refused(broker: RunningDevBroker, body: bytes) -> None:
    with broker.client() as client:
        client.send_frame("SEND", {"destination": QUESTIONS, "reply-to": ANSWERS, "receipt": "r"}, body)
        error = client.read_frame()
    assert (error.command, error["receipt-id"]) == ("ERROR", "r")
    assert "a JSON list of queues" in error["message"]

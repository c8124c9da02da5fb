"""How much waits in which queue, for whoever asks: a SEND to ``QUESTIONS`` whose body is a JSON list of destinations is
answered to its ``reply-to`` with an object by destination. Queues that there are not are left out."""

from __future__ import annotations

import json
import time
from typing import Any

from stompconsole.devbroker.frames import Frame
from stompconsole.devbroker.messages import BodyLength, Message
from stompconsole.devbroker.queues import Queue
from stompconsole.devbroker.refusals import Refused
from stompconsole.devbroker.store import Store

QUESTIONS = "/queue/devbroker.depths"


def answer(frame: Frame, store: Store) -> Message:
    """The message that answers a question. Raises Refused."""
    return Message(
        message_id=store.next_message_id(),
        destination=frame.headers.get("reply-to", "/topic/devbroker.depths"),
        headers={"correlation-id": frame.headers.get("correlation-id", ""), "content-type": "application/json"},
        body=json.dumps({each: _depth(queue) for each in _asked(frame) for queue in store.sources(each)}).encode(),
        body_length=BodyLength.GIVEN,
    )


def _asked(frame: Frame) -> list[str]:
    try:
        found = json.loads(frame.body)
    except ValueError:
        found = None
    if not isinstance(found, list) or not all(isinstance(each, str) and each.startswith("/queue/") for each in found):
        raise Refused(f'a SEND to {QUESTIONS} asks with a JSON list of queues, such as ["/queue/orders"]')
    return found


def _depth(queue: Queue) -> dict[str, Any]:
    first = next(queue.entries(), None)
    return {
        "waiting": queue.depth,
        "in_flight": queue.unacked,
        "consumers": len(queue.subscriptions),
        "oldest_s": time.monotonic() - first.message.came_at if first is not None else None,
    }

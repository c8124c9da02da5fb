"""Artemis' management address, asked over STOMP (seen: 2.44.0). The login needs the permission ``manage`` there."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from stompconsole.brokers.depths.depth import EMPTY, Depth, count, moment, queue_of
from stompconsole.brokers.depths.replies import Replies
from stompconsole.transport.frames import Frame
from stompconsole.transport.session import Session

ADDRESS = "activemq.management"
REPLIES = "stompconsole.depths"
"""One for all: an address of its own for each would stay behind. Each subscription to it has a queue that goes."""

_ATTRIBUTES = ("messageCount", "deliveringCount", "consumerCount", "firstMessageTimestamp")


def read(session: Session, destinations: Sequence[str]) -> Mapping[str, Depth]:
    """See ``OverStomp``."""
    asked = {destination: _names(destination) for destination in destinations}
    queues = sorted({name for names in asked.values() for name in names})
    with Replies(session, REPLIES, {"subscription-type": "MULTICAST"}) as replies:
        for number, queue in enumerate(queues):
            for attribute in _ATTRIBUTES:
                headers = {"_AMQ_ResourceName": f"queue.{queue}", "_AMQ_Attribute": attribute}
                replies.ask(f"{number} {attribute}", ADDRESS, headers)
        answers = replies.take(f"{number} {each}" for number in range(len(queues)) for each in _ATTRIBUTES)
    found = {queue: _depth(answers, number) for number, queue in enumerate(queues)}
    return {destination: _first_there(found, names) for destination, names in asked.items()}


def _names(destination: str) -> tuple[str, ...]:
    """What its queue may be called: by an acceptor without prefixes /queue/x is a whole name."""
    queue = destination.rpartition("::")[2]
    return (queue, queue_of(queue)) if queue_of(queue) != queue else (queue,)


def _first_there(found: Mapping[str, Depth | None], names: Sequence[str]) -> Depth:
    return next((depth for name in names if (depth := found[name]) is not None), EMPTY)


def _depth(answers: Mapping[str, Frame], number: int) -> Depth | None:
    """What is said of one queue; None if there is none of that name."""
    size, in_flight, consumers, first_at = (value(answers[f"{number} {each}"]) for each in _ATTRIBUTES)
    if count(size) is None:
        return None
    waiting = max(0, (count(size) or 0) - (count(in_flight) or 0))
    return Depth(
        waiting=waiting,
        in_flight=count(in_flight),
        consumers=count(consumers),
        oldest_at=moment(first_at) if waiting else None,
    )


def value(answer: Frame) -> object:
    """What is in an answer, a JSON list of one; None where it says that it failed."""
    if answer.headers.get("_AMQ_OperationSucceeded") != "true":
        return None
    try:
        found = json.loads(answer.body)
    except ValueError:
        return None
    return found[0] if isinstance(found, list) and found else None

"""The development broker, asked in a way of its own."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from typing import Any

from stompconsole.brokers.depths.depth import EMPTY, Depth, count, moment
from stompconsole.brokers.depths.replies import Replies
from stompconsole.transport.session import Session

QUESTIONS = "/queue/devbroker.depths"
REPLIES = "/topic/devbroker.depths"


def read(session: Session, destinations: Sequence[str]) -> Mapping[str, Depth]:
    """See ``OverStomp``."""
    asked = [destination for destination in destinations if destination.startswith("/queue/")]
    with Replies(session, REPLIES, {"prefetch-count": "10"}) as replies:
        replies.ask("all", QUESTIONS, {}, json.dumps(asked).encode())
        found = json.loads(replies.take(["all"])["all"].body)
    return {each: _depth(found[each], time.time()) if each in found else EMPTY for each in asked}


def _depth(said: Mapping[str, Any], now_s: float) -> Depth:
    oldest_s = said["oldest_s"]
    return Depth(
        waiting=count(said["waiting"]),
        in_flight=count(said["in_flight"]),
        consumers=count(said["consumers"]),
        oldest_at=moment(now_s - oldest_s) if oldest_s is not None else None,
    )

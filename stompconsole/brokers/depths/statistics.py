"""ActiveMQ Classic's statistics plugin, asked over STOMP (seen: 5.17.2, 6.3.1).

It answers for a queue that it has, and is silent about any other; for the whole broker it answers always. So that
question comes last, and what is unanswered when its answer is there is no queue. Without the plugin a question is an
ordinary message in a queue of that name: they have an end, and after one that was not answered nothing more is asked.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence

from stompconsole.brokers.depths.depth import EMPTY, Depth, NoAnswer, moment, queue_of
from stompconsole.brokers.depths.replies import Replies
from stompconsole.transport.session import Session

REPLIES = "/temp-queue/stompconsole-depths"
ABOUT = "/queue/ActiveMQ.Statistics."
EXPIRES_AFTER_S = 60.0
PROBE_LIMIT_S = 3.0

NO_PLUGIN = (
    "the statistics plugin does not answer: ActiveMQ needs <statisticsBrokerPlugin/> among its plugins, and the jar of"
    " xstream"
)

_NUMBER = re.compile(rb"<string>(\w+)</string>\s*<(?:long|int)>(-?\d+)</")
_WITH_OLDEST = {"ActiveMQ.Statistics.Destination.Include.First.Message.Timestamp": "true"}
_FIRST, _LAST = "first", "last"


def read(session: Session, destinations: Sequence[str]) -> Mapping[str, Depth]:
    """See ``OverStomp``."""
    limits = {"expires": str(int((time.time() + EXPIRES_AFTER_S) * 1000))}
    with Replies(session, REPLIES, {}) as replies:
        replies.ask(_FIRST, f"{ABOUT}Broker", limits)
        try:
            replies.take([_FIRST], PROBE_LIMIT_S)
        except NoAnswer as error:
            raise NoAnswer(session.close_reason or NO_PLUGIN) from error
        for number, destination in enumerate(destinations):
            name = queue_of(destination).partition("?")[0]
            replies.ask(str(number), f"{ABOUT}Destination.{name}", {**limits, **_WITH_OLDEST})
        replies.ask(_LAST, f"{ABOUT}Broker", limits)
        answers = replies.take([_LAST])
    return {
        destination: depth(answers[str(number)].body) if str(number) in answers else EMPTY
        for number, destination in enumerate(destinations)
    }


def depth(body: bytes) -> Depth:
    """What an answer says, an XML map. ``size`` holds what is handed out as well."""
    found = {name.decode(): int(value) for name, value in _NUMBER.findall(body)}
    size, in_flight = found.get("size", 0), max(0, found.get("inflightCount", 0))
    waiting = max(0, size - in_flight)
    return Depth(
        waiting=waiting,
        in_flight=in_flight,
        consumers=found.get("consumerCount"),
        oldest_at=moment(found.get("firstMessageTimestamp")) if waiting else None,
    )

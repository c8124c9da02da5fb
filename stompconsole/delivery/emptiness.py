"""Whether a queue is empty: asked of a broker that can tell, else taken from its silence.

STOMP has no word for it. A broker that has a message ready for a subscription with room gives it at once; so when
nothing is in hand and nothing has come for a while, nothing is there *for us*. What another consumer holds is only
known to a broker that shows it.
"""

from __future__ import annotations

import enum
import itertools
import logging
import queue
import time
from collections.abc import Callable, Mapping
from concurrent.futures import TimeoutError as FutureTimeout

from stompconsole.brokers import Dialect
from stompconsole.brokers.subscribing import TOPIC
from stompconsole.delivery.connecting import open_session
from stompconsole.delivery.specs import AckMode, BrokerSpec, SubscriptionState
from stompconsole.delivery.status import RunnerStatus
from stompconsole.errors import BrokerError, ConnectFailed
from stompconsole.transport.frames import Frame
from stompconsole.transport.session import Session

logger = logging.getLogger(__name__)

ANSWER_LIMIT_S = 2.0

_ids = itertools.count(1)


class Emptiness(enum.Enum):
    """What a broker says of a queue."""

    EMPTY = "empty"
    NOT_EMPTY = "not empty"
    UNKNOWN = "unknown"


class Silence:
    """For how long a subscription that runs has been given nothing, with nothing in hand. Not thread-safe."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._taken = 0
        self._since = clock()

    def break_off(self) -> None:
        """The subscription has changed: what came before says nothing any more."""
        self._since = self._clock()

    def lasted_s(self, status: RunnerStatus, taken: int) -> float:
        """Seconds up to now. ``taken`` counts the messages so far."""
        if status.state is not SubscriptionState.RUNNING or status.in_flight or taken != self._taken:
            self._since = self._clock()
        self._taken = taken
        return self._clock() - self._since


def ask(broker: BrokerSpec, destination: str, dialect: Dialect) -> Emptiness:
    """Ask the broker on a connection of its own; takes nothing out and marks nothing. Never raises what brokers do."""
    if not dialect.glance or destination.startswith(TOPIC):
        return Emptiness.UNKNOWN
    try:
        session = open_session(broker)
    except ConnectFailed:
        return Emptiness.UNKNOWN
    try:
        return _glance(session, destination, dialect.glance)
    except (BrokerError, FutureTimeout, queue.Empty) as error:
        logger.info("looking into %s: %s", destination, error or "no answer")
        return Emptiness.UNKNOWN
    finally:
        session.disconnect(ANSWER_LIMIT_S)


def _glance(session: Session, destination: str, headers: Mapping[str, str]) -> Emptiness:
    shown: queue.SimpleQueue[Frame] = queue.SimpleQueue()
    subscription_id = f"stompconsole-glance-{next(_ids)}"
    session.subscribe(subscription_id, destination, AckMode.CLIENT_INDIVIDUAL, headers, shown.put)
    first = shown.get(timeout=ANSWER_LIMIT_S)
    return Emptiness.EMPTY if first.headers.get("browser") == "end" else Emptiness.NOT_EMPTY

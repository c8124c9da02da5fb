"""A look at the first messages of a queue, where the broker shows copies: nothing is taken out, nothing is marked.

Refuses where the broker would take ``browser`` for an ordinary subscription: that consumes.
"""

from __future__ import annotations

import itertools
import queue
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import dataclass, field

from stompconsole.brokers import dialect_for
from stompconsole.delivery.connecting import open_session
from stompconsole.delivery.specs import AckMode, BrokerSpec
from stompconsole.errors import BrokerError, ConnectFailed
from stompconsole.transport.frames import Frame
from stompconsole.transport.session import Session

LIMIT_S = 10.0
"""How long messages are waited for in all: a round trip, and what large bodies take."""

LEAVE_LIMIT_S = 2.0

_ids = itertools.count(1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """One message as the broker shows it. ``origin`` is what its broker says of it."""

    headers: Mapping[str, str]
    origin: str
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Browsed:
    """What was seen. ``more``: there are others behind them. Where nothing could be seen ``reason`` says why."""

    messages: Sequence[Shown] = ()
    more: bool = False
    reason: str = ""


def browse(broker: BrokerSpec, destination: str, most: int) -> Browsed:
    """The first ``most`` messages of a queue, whoever holds them. Blocking; raises nothing that brokers do."""
    try:
        session = open_session(broker)
    except ConnectFailed as error:
        return Browsed(reason=str(error))
    try:
        return _look(session, broker, destination, most)
    except (BrokerError, FutureTimeout, queue.Empty) as error:
        return Browsed(reason=session.close_reason or str(error) or f"the broker showed no end in {LIMIT_S:g} s")
    finally:
        session.disconnect(LEAVE_LIMIT_S)


def _look(session: Session, broker: BrokerSpec, destination: str, most: int) -> Browsed:
    dialect = dialect_for(broker.kind, session.server)
    if not dialect.browse:
        return Browsed(reason=dialect.no_browse)
    came: queue.SimpleQueue[Frame] = queue.SimpleQueue()
    subscription_id = f"stompconsole-browse-{next(_ids)}"
    session.subscribe(subscription_id, destination, AckMode.AUTO, dialect.browse, came.put).result(LIMIT_S)
    frames = _first(came, most + 1)
    shown = [Shown(headers=each.headers, origin=dialect.origin(each.headers), body=each.body) for each in frames[:most]]
    return Browsed(messages=shown, more=len(frames) > most)


def _first(came: queue.SimpleQueue[Frame], most: int) -> list[Frame]:
    """What comes until there is enough of it, or the end is told. Raises queue.Empty when neither happens in time."""
    found: list[Frame] = []
    until = time.monotonic() + LIMIT_S
    while len(found) < most:
        frame = came.get(timeout=max(0.0, until - time.monotonic()))
        if frame.headers.get("browser") == "end":
            break
        found.append(frame)
    return found

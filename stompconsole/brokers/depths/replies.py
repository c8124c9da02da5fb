"""Questions to a broker over STOMP whose answers come as messages, each known by its correlation-id."""

from __future__ import annotations

import itertools
import queue
import time
import uuid
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import Self

from stompconsole.brokers.depths.depth import NoAnswer
from stompconsole.transport.frames import Frame
from stompconsole.transport.session import Session

LIMIT_S = 5.0
"""How long answers are waited for: a broker gives them within a round trip."""

_ids = itertools.count(1)


class Replies:
    """A subscription that answers come to. ``headers`` are of its SUBSCRIBE."""

    def __init__(self, session: Session, destination: str, headers: Mapping[str, str]) -> None:
        self._session = session
        self._destination = destination
        self._headers = headers
        self._came: queue.SimpleQueue[Frame] = queue.SimpleQueue()
        # Others may ask at the same time and get their answers at the same place.
        self._token = uuid.uuid4().hex
        self._subscription_id = f"stompconsole-depths-{next(_ids)}"

    def __enter__(self) -> Self:
        opened = self._session.subscribe(
            self._subscription_id, self._destination, "auto", self._headers, self._came.put
        )
        opened.result(LIMIT_S)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        # The session ends with the question, and the subscription with it.
        return

    def ask(self, name: str, destination: str, headers: Mapping[str, str], body: bytes = b"") -> None:
        """Send a question; its answer will be known by ``name``. Raises SessionClosed, BrokerRefused later."""
        whole = {
            "destination": destination,
            "reply-to": self._destination,
            "correlation-id": f"{self._token} {name}",
            **headers,
        }
        self._session.request("SEND", whole, body)

    def take(self, names: Iterable[str], limit_s: float = LIMIT_S) -> dict[str, Frame]:
        """The answers, once all of these have come. Raises NoAnswer when they don't in time."""
        missing = set(names)
        found: dict[str, Frame] = {}
        until = time.monotonic() + limit_s
        while missing:
            frame = self._next(until)
            token, _, name = frame.headers.get("correlation-id", "").partition(" ")
            if token == self._token:
                found[name] = frame
                missing.discard(name)
        return found

    def _next(self, until: float) -> Frame:
        while (left_s := until - time.monotonic()) > 0:
            try:
                # In short turns: a session that has ended brings nothing any more.
                return self._came.get(timeout=min(left_s, 0.25))
            except queue.Empty:
                if self._session.close_reason is not None:
                    raise NoAnswer(self._session.close_reason) from None
        raise NoAnswer("no answer in time")

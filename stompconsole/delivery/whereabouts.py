"""Where this process's sessions with each broker were opened last: what makes a switch, and who is told of it.

A switch is told once however many subscriptions make it. Refuses to decide anything: ``connecting`` does.
"""

from __future__ import annotations

import logging
import os
import threading

from stompconsole.delivery.observer import Switch, SwitchObserver
from stompconsole.delivery.specs import BrokerSpec
from stompconsole.transport.session import Endpoint

logger = logging.getLogger(__name__)

BACK = "it answers again"


class Whereabouts:
    """The endpoint in use of each broker that has a standby. Thread-safe."""

    def __init__(self) -> None:
        self._observers: list[SwitchObserver] = []
        self._begin()
        if hasattr(os, "register_at_fork"):
            # Whoever observes the parent writes for the parent; its lock may be held by a thread that stays behind.
            os.register_at_fork(after_in_child=self._begin)

    def _begin(self) -> None:
        self._lock = threading.Lock()
        self._observers = []
        self._now: dict[tuple[str, tuple[Endpoint, ...]], Endpoint] = {}

    def tell(self, observer: SwitchObserver) -> None:
        """Have an observer told of every switch from now on."""
        with self._lock:
            self._observers.append(observer)

    def tell_no_more(self, observer: SwitchObserver) -> None:
        """An observer is no longer told."""
        with self._lock:
            self._observers.remove(observer)

    def opened(self, broker: BrokerSpec, endpoint: Endpoint, reason: str) -> None:
        """A session was opened; ``reason`` says why none was at the endpoints before this one."""
        key = broker.name, broker.endpoints
        with self._lock:
            was = self._now.get(key, broker.endpoints[0])
            self._now[key] = endpoint
            observers = tuple(self._observers)
        if was != endpoint:
            switch = Switch(broker=broker.name, was=was, now=endpoint, reason=reason or BACK)
            logger.warning("broker %s: %s", switch.broker, switch, extra={"broker": switch.broker})
            for observer in observers:
                observer.switched(switch)


WHEREABOUTS = Whereabouts()
"""Those of this process."""

"""Whether a primary is back: asked by one connection for each broker in this process, while somebody wants to return.

Threads: one daemon for each broker that somebody waits for; it ends with the last who waits. It is only ever told,
never joined, so that it holds up no drain and no abort.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from dataclasses import replace

from stompconsole import transport
from stompconsole.delivery.specs import BrokerSpec, Failback
from stompconsole.errors import ConnectFailed
from stompconsole.transport.session import Session

logger = logging.getLogger(__name__)

LEAVE_LIMIT_S = 1.0
"""How long the connection that found the primary may take to say good-bye."""


class Watches:
    """The watches of a process, by broker."""

    def __init__(self) -> None:
        self._begin()
        if hasattr(os, "register_at_fork"):
            # The threads do not come along, and a lock may be held by one of them.
            os.register_at_fork(after_in_child=self._begin)

    def _begin(self) -> None:
        self._lock = threading.Lock()
        self._watches: dict[BrokerSpec, _Watch] = {}

    def wait(self, broker: BrokerSpec, session: Session, back: Callable[[], None]) -> None:
        """Have ``back()`` called once when the primary lets us in, if this session is to return to it.

        It must be quick. It is not called after the end of the session.
        """
        if broker.failback is not Failback.RETURN or session.endpoint == broker.endpoints[0]:
            return
        with self._lock:
            watch = self._watches.setdefault(broker, _Watch(broker))
        watch.add(session, back)
        session.on_close(lambda _: watch.remove(session))


class _Watch:
    """Tries one primary every ``failback_check_s`` seconds, as long as somebody waits."""

    def __init__(self, broker: BrokerSpec) -> None:
        self._broker = broker
        self._changed = threading.Condition()
        self._waiting: dict[Session, Callable[[], None]] = {}
        self._running = False

    def add(self, session: Session, back: Callable[[], None]) -> None:
        with self._changed:
            self._waiting[session] = back
            if not self._running:
                self._running = True
                name = f"{self._broker.name} primary watch"
                threading.Thread(target=self._run, name=name, daemon=True).start()

    def remove(self, session: Session) -> None:
        with self._changed:
            self._waiting.pop(session, None)
            self._changed.notify()

    def _run(self) -> None:
        while self._pause():
            if self._lets_us_in():
                self._tell()

    def _pause(self) -> bool:
        """Wait for the next turn; false, and the thread ends, as soon as nobody waits."""
        until = time.monotonic() + self._broker.failback_check_s
        with self._changed:
            while self._waiting and (left_s := until - time.monotonic()) > 0:
                self._changed.wait(left_s)
            # Under the lock: whoever comes after this starts a new thread.
            self._running = bool(self._waiting)
            return self._running

    def _lets_us_in(self) -> bool:
        """Whether CONNECT is answered by CONNECTED: a port that is open may be a broker that is still starting."""
        broker = self._broker
        try:
            # Without the client id: a durable subscriber's is one connection's only.
            login = replace(broker.login, client_id="")
            session = transport.connect(
                broker.endpoints[0], login, heartbeat_s=(0.0, 0.0), connect_timeout_s=broker.connect_timeout_s
            )
        except ConnectFailed as error:
            logger.debug("broker %s: not back yet: %s", broker.name, error)
            return False
        except Exception:  # a bug of ours must not end the watch: nobody would return any more
            logger.exception("broker %s: the primary can't be tried", broker.name)
            return False
        session.disconnect(LEAVE_LIMIT_S)
        return True

    def _tell(self) -> None:
        with self._changed:
            told, self._waiting = list(self._waiting.values()), {}
        for back in told:
            back()


WATCHES = Watches()
"""Those of this process."""

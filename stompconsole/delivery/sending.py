"""The sending session of a broker: opened when a message needs it, left in order when none does or the primary is back.

Left when nothing was sent for a while: definitions of brokers come and go, and each would keep a session until the
process ends. Refuses to know what is sent: the sender says when it may be left. Thread-safe.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from stompconsole.delivery.connecting import open_session
from stompconsole.delivery.specs import BrokerSpec
from stompconsole.delivery.watching import WATCHES
from stompconsole.errors import ConnectFailed
from stompconsole.transport.session import Session

CONNECT_PAUSE_S = 1.0
"""After a failed connect, further sends fail with the same reason for this long instead of trying again."""

IDLE_S = 60.0
"""A session over which nothing was sent for this long is closed; it is opened again when it is needed."""

LEAVE_LIMIT_S = 2.0
"""How long a session that is left may take to say good-bye."""

CLOSED = "the sender is closed: the process is ending"


class SendingSession:
    """One session after another. ``opened(new, before)`` is told of each before anybody sends over it; ``usable``
    says whether one that is open may be sent over; ``wake`` is called, on any thread, when it is to be left.
    """

    def __init__(
        self,
        broker: BrokerSpec,
        *,
        opened: Callable[[Session, Session | None], None],
        usable: Callable[[Session], bool],
        wake: Callable[[], None],
    ) -> None:
        self.now: Session | None = None
        self._broker = broker
        self._opened = opened
        self._usable = usable
        self._wake = wake
        self._lock = threading.Lock()
        self._connecting = threading.Lock()
        self._refused_until = 0.0
        self._refusal = ""
        self._called_back: Session | None = None
        self._used_at = time.monotonic()
        self._over = False

    @property
    def is_open(self) -> bool:
        """Whether there is one now."""
        return self.now is not None and self.now.close_reason is None

    def open(self) -> Session:
        """The session, opened if need be. Raises ConnectFailed, with the last reason as long as it is fresh."""
        with self._connecting:
            session = self.now
            if session is not None and session.close_reason is None and self._usable(session):
                return session
            if self._over:
                raise ConnectFailed(CLOSED)
            if time.monotonic() < self._refused_until:
                raise ConnectFailed(self._refusal)
            try:
                session = open_session(self._broker)
            except ConnectFailed as error:
                self._refused_until = time.monotonic() + CONNECT_PAUSE_S
                self._refusal = str(error)
                raise
            self._adopt(session)
            return session

    def _adopt(self, session: Session) -> None:
        with self._lock:
            over = self._over
            if not over:
                self._opened(session, self.now)
                self.now = session
        if over:
            # end() has given up on us while we were connecting: nobody would end this session.
            session.abort(CLOSED)
            raise ConnectFailed(CLOSED)
        self.used()
        WATCHES.wait(self._broker, session, lambda: self._call_back(session))

    def used(self) -> None:
        """Something is sent: the idle time begins anew."""
        self._used_at = time.monotonic()

    def idle_left_s(self) -> float:
        """How long until it has been idle for too long; 0 when it has."""
        return max(0.0, self._used_at + IDLE_S - time.monotonic())

    @property
    def is_called_back(self) -> bool:
        """Whether it is on a standby whose primary is back."""
        return self._called_back is not None and self._called_back is self.now and self.is_open

    def leave(self) -> None:
        """Close it in order, if it is open; the next one tries the primary first."""
        if self.now is not None and self.is_open:
            self.now.disconnect(LEAVE_LIMIT_S)

    def end(self) -> Session | None:
        """No more from now on; gives back the last one."""
        with self._lock:
            self._over = True
            return self.now

    def _call_back(self, session: Session) -> None:
        self._called_back = session
        self._wake()

"""SENDs that are written in one go, since each write costs more than its frame.

Owns what is encoded and not written yet. Used by one thread.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress

from stompconsole.errors import SessionClosed
from stompconsole.transport.outcome import Told
from stompconsole.transport.session import Session

TOGETHER_BYTES = 65_536
"""SENDs written in one go, at most. Each write lets go of the interpreter, and then waits for its turn behind whoever
is busy: with one for each message, that is what sending would mostly be."""


class Outbox:
    """What is to be written to one session, until it is ``flush``ed or has become much."""

    def __init__(self) -> None:
        self._session: Session | None = None
        self._frames: list[bytes] = []
        self._bytes = 0

    def send(
        self, session: Session, headers: Mapping[str, str], body: bytes, told: Told, *, by_name: bool = False
    ) -> None:
        """SEND with a receipt: ``told`` and ``by_name`` as by the session."""
        self.put(session, session.prepare("SEND", headers, body, told, by_name=by_name))

    def put(self, session: Session, frame: bytes) -> None:
        """A frame behind those that are there."""
        if session is not self._session:
            self.flush()
        self._session = session
        self._frames.append(frame)
        self._bytes += len(frame)
        if self._bytes >= TOGETHER_BYTES:
            self.flush()

    def flush(self) -> None:
        """Write what there is."""
        session, data = self._session, b"".join(self._frames)
        self._session, self._frames, self._bytes = None, [], 0
        if session is not None:
            # What fails is told by the receipts.
            with suppress(SessionClosed):
                session.write(data)

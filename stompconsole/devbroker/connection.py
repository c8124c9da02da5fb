"""The socket of one client: reading, writing in batches, back-pressure, heart-beats, the end.

Owns what bounds memory: a client that reads slowly gets no more messages, one that does not read its receipts is not
read from. Refuses to know what frames mean (``session``). Runs on the event loop alone.
"""

from __future__ import annotations

import asyncio
import enum
import logging
import socket
import struct
from collections.abc import MutableSet
from typing import cast

from stompconsole.devbroker.frames import Frame, MalformedFrame
from stompconsole.devbroker.handshake import Agreement
from stompconsole.devbroker.heartbeats import Heartbeats
from stompconsole.devbroker.parser import FrameParser
from stompconsole.devbroker.session import Session, Surroundings

logger = logging.getLogger(__name__)

BATCH_BYTES = 128 * 1024
"""How much is gathered for one write; then messages wait for the next turn of the loop."""
CONGESTED_BYTES = 256 * 1024
"""How much may wait for a client to read before it gets no more messages."""
FLOODED_BYTES = 1024 * 1024
"""How much may wait before nothing more is read from it either: its receipts would pile up."""
LINGER_S = 2.0
"""How long after our last word a client may take to close its side."""
_RESET = struct.pack("ii", 1, 0)


class Stall(enum.Enum):
    """Why a connection takes no messages."""

    CONGESTED = "the client reads slowly"
    FLOODED = "the client does not read what answers it"
    BLOCKED = "a SEND waits without an answer"
    FROZEN = "nothing is read or written"


READING_STALLS = frozenset({Stall.FLOODED, Stall.BLOCKED, Stall.FROZEN})


class Connection(asyncio.Protocol):
    """One TCP connection and its session."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        number: int,
        surroundings: Surroundings,
        connections: MutableSet[Connection],
    ) -> None:
        self._loop = loop
        self._surroundings = surroundings
        self._connections = connections
        self._session = Session(number, self, surroundings)
        self._parser = FrameParser(surroundings.options.frames)
        self._heartbeats = Heartbeats(loop, self._beat, self._on_silence)
        self._stalls: set[Stall] = set()
        self._outbox: list[bytes] = []
        self._outbox_bytes = 0
        self._waiting: Frame | None = None
        self._closing = False
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=CONGESTED_BYTES)
        self._connections.add(self)
        self._plan_connect_timeout()
        faults = self._surroundings.faults
        if faults.connections_refused:
            self.reset()
        elif faults.frozen:
            self.freeze()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end_session()
        if self._timer is not None:
            self._timer.cancel()
        self._connections.discard(self)
        logger.debug("session %d: closed (%s)", self._session.number, exc or "in good order")

    def data_received(self, data: bytes) -> None:
        if self._closing:
            return
        self._heartbeats.heard()
        self._parser.feed(data)
        self._work()

    def pause_writing(self) -> None:
        self._stall(Stall.CONGESTED)

    def resume_writing(self) -> None:
        self._go_on(Stall.CONGESTED, Stall.FLOODED)

    @property
    def writable(self) -> bool:
        """Whether another message may be written now."""
        return not self._stalls and self._outbox_bytes < BATCH_BYTES

    def write(self, *parts: bytes) -> None:
        """Write bytes, in order, with all else that this turn of the loop writes."""
        if not self._outbox:
            self._loop.call_soon(self._flush)
        self._outbox.extend(parts)
        self._outbox_bytes += sum(map(len, parts))

    def agreed(self, agreement: Agreement) -> None:
        """The client was let in."""
        self._parser.version = agreement.version
        if self._timer is not None:
            self._timer.cancel()
        self._heartbeats.start(agreement)

    def close(self) -> None:
        """Write what is to be written, then close, in the order that lets the client read it."""
        if self._closing:
            return
        self._end_session()
        self._flush()
        # Closed at once, what the client sent meanwhile would make the kernel reset the connection, and our last
        # words would be lost on their way (STOMP 1.2, Connection Lingering).
        if self._transport.can_write_eof() and not self._transport.is_closing():
            self._transport.write_eof()
        self._timer = self._loop.call_later(LINGER_S, self._transport.abort)

    def reset(self) -> None:
        """Cut the connection with a TCP reset; nothing more is written."""
        self._outbox.clear()
        sock: socket.socket | None = self._transport.get_extra_info("socket")
        if sock is not None and not self._transport.is_closing():
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self.abort()

    def abort(self) -> None:
        """Close at once."""
        self._end_session()
        self._transport.abort()

    def freeze(self) -> None:
        """Read and write nothing, until ``thaw``."""
        self._stall(Stall.FROZEN)

    def thaw(self) -> None:
        """Read and write again."""
        self._go_on(Stall.FROZEN)
        self.unblock()

    def unblock(self) -> None:
        """Take up the SEND that waits, if it need not wait any more."""
        frame = self._waiting
        if frame is None or Stall.FROZEN in self._stalls or self._session.must_wait(frame):
            return
        self._waiting = None
        self._session.handle(frame)
        self._work()
        self._go_on(Stall.BLOCKED)

    def _work(self) -> None:
        while not self._closing and self._waiting is None:
            try:
                frame = self._parser.next_frame()
            except MalformedFrame as error:
                self._session.refuse_malformed(error)
                return
            if frame is None:
                return
            self._take(frame)

    def _take(self, frame: Frame) -> None:
        if self._session.must_wait(frame):
            self._waiting = frame
            self._stall(Stall.BLOCKED)
        else:
            self._session.handle(frame)

    def _flush(self) -> None:
        if not self._outbox or Stall.FROZEN in self._stalls:
            return
        was_full = self._outbox_bytes >= BATCH_BYTES
        data = b"".join(self._outbox)
        self._outbox.clear()
        self._outbox_bytes = 0
        if self._transport.is_closing():
            return
        self._transport.write(data)
        if self._transport.get_write_buffer_size() > FLOODED_BYTES:
            self._stall(Stall.FLOODED)
        elif was_full and not self._stalls:
            self._session.wake()

    def _stall(self, reason: Stall) -> None:
        self._stalls.add(reason)
        if reason in READING_STALLS:
            self._transport.pause_reading()

    def _go_on(self, *reasons: Stall) -> None:
        if self._stalls.isdisjoint(reasons):
            return
        self._stalls.difference_update(reasons)
        self._heartbeats.heard()
        self._flush()
        if self._stalls.isdisjoint(READING_STALLS):
            self._transport.resume_reading()
        if not self._stalls:
            self._session.wake()

    def _end_session(self) -> None:
        self._closing = True
        self._heartbeats.stop()
        self._session.end()

    def _beat(self) -> None:
        if Stall.FROZEN not in self._stalls and self._transport.get_write_buffer_size() == 0:
            self.write(b"\n")

    def _on_silence(self, silent_s: float) -> None:
        if self._stalls.isdisjoint(READING_STALLS):
            logger.info("session %d: silent for %.1f s, no heart-beat came: closed", self._session.number, silent_s)
            self.abort()
        else:
            # It could not be heard.
            self._heartbeats.heard()

    def _plan_connect_timeout(self) -> None:
        self._timer = self._loop.call_later(self._surroundings.options.connect_timeout_s, self._on_no_connect)

    def _on_no_connect(self) -> None:
        if Stall.FROZEN in self._stalls:
            self._plan_connect_timeout()
            return
        logger.info("session %d: sent no CONNECT in time: closed", self._session.number)
        self.abort()

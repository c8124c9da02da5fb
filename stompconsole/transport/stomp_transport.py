"""stomp.py's transport, opened under our limits and read without its per-frame notifications.

Owns the socket: how it is opened (TCP or TLS, time limits, diagnosis), read (size, quick ACKs) and written.
Relies on what stomp.py offers subclasses: the hooks ``attempt_connection``, ``receive``, ``send``, ``process_frame``
and ``disconnect_socket``, the attributes ``socket``, ``blocking``, ``sel``, ``send_queue``, ``current_host_and_port``
and ``running``, that the io thread ends when ``running`` is false, and that it reads by ``__read_frames``, private but
to be replaced. ``tests/transport/test_stomp_py.py`` pins each.
"""

from __future__ import annotations

import contextlib
import math
import re
import selectors
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Sequence
from typing import NoReturn

from stomp import exception, transport, utils

from stompconsole.errors import ConnectFailed, SessionClosed
from stompconsole.transport import diagnosis, frames
from stompconsole.transport.resolving import RESOLVER, Address
from stompconsole.transport.session import Endpoint
from stompconsole.transport.tls import WriteQueue, handshake

SMALL_READ_BYTES = 16_384
LARGE_READ_BYTES = 4_194_304
HEARTBEAT_NOTICE_S = 0.1
"""How often arriving frames are told to stomp.py's heart-beat watch: each one would cost more than its parsing."""

_END_OF_HEADERS = re.compile(b"\n\r?\n")
_BEATS = (b"\n", b"\r\n")
GREETING_BYTES = 64
"""How much of the first answer is kept, to tell what it is when it is no STOMP."""

_QUICKACK = getattr(socket, "TCP_QUICKACK", None)


class _Read(utils.Frame):  # type: ignore[misc]
    """A frame as stomp.py knows one, without the second copy of its headers that only stomp.py's listeners need."""

    def __init__(self, frame: frames.Frame) -> None:
        self.cmd, self.headers, self.body = frame.command, frame.headers, frame.body
        self.original_headers = frame.headers


class NotRead(SessionClosed):
    """Raised when the broker takes nothing more: what was written last is cut in the middle."""


class StompTransport(transport.Transport):  # type: ignore[misc]
    """One TCP or TLS connection, for one session. ``on_frame(frame)`` gets every MESSAGE, RECEIPT and ERROR.

    ``silent``: the heart-beat watch ended it; ``trouble``: what was wrong with what was read last, in words;
    ``stranger``: what the other end is, in words, when its first answer is no STOMP. Name, TCP, TLS and CONNECTED
    share one time limit, ``timeout_s`` from ``start``.
    """

    def __init__(
        self, endpoint: Endpoint, *, vhost: str, timeout_s: float, on_frame: Callable[[utils.Frame], None]
    ) -> None:
        super().__init__(
            [(endpoint.host, endpoint.port)],
            prefer_localhost=False,
            try_loopback_connect=False,
            reconnect_attempts_max=1,
            vhost=vhost,
            auto_decode=False,
        )
        self.endpoint = endpoint
        self.last_read_at = time.monotonic()
        self.silent = False
        self.trouble = ""
        self.stranger = ""
        self._greeting = b""
        self._timeout_s = timeout_s
        self._connect_until = math.inf
        self._on_frame = on_frame
        self._sending = threading.Lock()
        self._bytes_since_frame = 0
        self._heartbeat_noticed_at = 0.0

    def attempt_connection(self) -> None:
        """Open the socket; raises ConnectFailed with a diagnosis, where stomp.py would only log one."""
        self._connect_until = time.monotonic() + self._timeout_s
        sock = self._reach(RESOLVER.addresses(self.endpoint, self._timeout_s))
        try:
            self._prepare(sock)
        except OSError as error:
            sock.close()
            raise ConnectFailed(f"the connection to {self.endpoint} was lost at once: {error}") from error
        except BaseException:
            sock.close()
            raise

    def connect_left_s(self) -> float:
        """What is left of the time limit for connecting; a little when it is over, for zero has other meanings."""
        return max(0.01, self._connect_until - time.monotonic())

    def _reach(self, addresses: Sequence[Address]) -> socket.socket:
        reason: Exception | None = None
        for number, address in enumerate(addresses):
            # One that does not answer must leave time for those behind it.
            share_s = self.connect_left_s() / (len(addresses) - number)
            try:
                return _open_socket(address, share_s)
            except (OSError, OverflowError) as error:
                reason = error
        raise ConnectFailed(diagnosis.unreachable(self.endpoint, reason)) from reason

    def _prepare(self, sock: socket.socket) -> None:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        if self.endpoint.tls is None:
            # A broker that stops reading must not hold a writer for ever: sendall fails after the limit.
            limit = struct.pack("ll", int(self._timeout_s), int(self._timeout_s % 1 * 1_000_000))
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, limit)
            sock.settimeout(None)
            self.socket = sock
        else:
            sock.settimeout(self.connect_left_s())
            self.socket = handshake(sock, self.endpoint, self.endpoint.tls)
            self.socket.settimeout(0.0)
            # On TLS stomp.py writes from its io thread alone, fed by this queue.
            self.send_queue = WriteQueue()
            self.sel = selectors.DefaultSelector()
            self.sel.register(self.send_queue, selectors.EVENT_READ)
            self.sel.register(self.socket, selectors.EVENT_READ)
            self.blocking = False
        self.current_host_and_port = (self.endpoint.host, self.endpoint.port)

    def receive(self) -> bytes:
        """One read. Large while a large frame is arriving, so that its parts are not joined a thousand times."""
        sock = self.socket
        if sock is None:
            return b""
        try:
            data = self._read(sock)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise
        except OSError as error:
            self.trouble = self.trouble or str(error)
            data = b""
        if data and not self.connected and not self._may_go_on(data):
            data = b""
        if data:
            self._note_sign_of_life()
        elif not self.blocking:
            # stomp.py takes an empty read on TLS for "nothing yet" and would spin on a closed connection.
            self.running = False
        return data

    def _read(self, sock: socket.socket) -> bytes:
        if _QUICKACK is not None:
            # ActiveMQ's Nagle waits for our TCP ACK before it sends on: 2,270/s against 16,000/s (BROKERS.md 15).
            sock.setsockopt(socket.IPPROTO_TCP, _QUICKACK, 1)
        data = sock.recv(min(max(SMALL_READ_BYTES, self._bytes_since_frame), LARGE_READ_BYTES))
        self._bytes_since_frame += len(data)
        return data

    def _may_go_on(self, data: bytes) -> bool:
        # At the first bytes: what speaks something else may never send the NUL that ends a frame.
        self._greeting = (self._greeting + data)[:GREETING_BYTES]
        if not diagnosis.is_stomp(self._greeting):
            self.stranger = diagnosis.stranger(self.endpoint, self._greeting)
        return not self.stranger

    def _note_sign_of_life(self) -> None:
        # Any byte is one, not only a whole frame: no heart-beat can come while a large frame is arriving.
        self.last_read_at = time.monotonic()
        if self.last_read_at - self._heartbeat_noticed_at > HEARTBEAT_NOTICE_S:
            self._heartbeat_noticed_at = self.last_read_at
            self.notify("heartbeat")

    def _BaseTransport__read_frames(self) -> None:  # noqa: N802 - the name that stomp.py's private method goes by
        """Hand on what one read has brought, parsed by us: stomp.py's takes most of an io thread's time for headers.

        One that does not know this method goes on with its own.
        """
        for raw in self._BaseTransport__read():
            if raw in _BEATS:
                self.process_frame(transport.HEARTBEAT_FRAME, raw)
            elif (frame := frames.parse(raw)) is not None:
                self.process_frame(_Read(frame), raw)

    def process_frame(self, f: utils.Frame, frame_str: bytes) -> None:
        """Hand frames straight on; CONNECTED and heart-beats go stomp.py's way, which its heart-beat watch needs."""
        self._bytes_since_frame = 0
        if f.cmd in {"MESSAGE", "RECEIPT", "ERROR"}:
            if not f.body and _END_OF_HEADERS.search(frame_str) is None:
                # Its body has not been seen, so it must not be settled; what follows is the rest of it.
                named = f.headers.get("message-id", "")
                self._give_up(f"a NUL ends the headers of a {f.cmd} {named} too early: STOMP can't carry it")
            self._on_frame(f)
        elif f.cmd in {"CONNECTED", "heartbeat"}:
            super().process_frame(f, frame_str)
        else:
            self._give_up(f"what it sent is no STOMP: {f.cmd[:60]!r}")

    def _give_up(self, trouble: str) -> NoReturn:
        self.trouble = trouble
        raise exception.ConnectionClosedException

    def disconnect_socket(self) -> None:
        """Called by stomp.py's heart-beat watch when the broker was silent for too long.

        Its own would take the socket out of the selector on which the io thread waits, which then waits for ever.
        """
        self.silent = True
        self.shut()
        if not self.notified_on_disconnect:
            # Not left to the io thread, which may be held up.
            self.notify("disconnected")

    def send(self, encoded_frame: bytes) -> None:
        """Write to a plain socket, one writer at a time; stomp.py's own logs every failure with a traceback."""
        sock = self.socket
        if sock is None:
            raise exception.NotConnectedException
        with self._sending:
            sock.sendall(encoded_frame)

    def write(self, data: bytes) -> None:
        """Write bytes, whole, from any thread. Raises SessionClosed, NotRead."""
        try:
            if self.blocking:
                self.send(data)
            else:
                self.send_queue.put(data)
        except BlockingIOError as error:
            raise NotRead(f"{self.endpoint} did not read what was sent for {self._timeout_s:g} s") from error
        except (OSError, AttributeError, exception.NotConnectedException) as error:
            raise SessionClosed(f"writing to {self.endpoint} failed: {error or 'the connection is closed'}") from error

    def shut(self) -> None:
        """Close the socket; the io thread sees it and ends. Never raises."""
        self.running = False
        sock = self.socket
        if sock is None:
            return
        with contextlib.suppress(OSError):
            # Not close(): the io thread may be reading from it, and is woken by this. Not the shutdown of a TLS
            # socket: that turns it into a plain one, on which the io thread might still write.
            socket.socket.shutdown(sock, socket.SHUT_RDWR)
        if not self.blocking:
            with contextlib.suppress(OSError, AttributeError):
                self.send_queue.put(b"")


def _open_socket(address: Address, limit_s: float) -> socket.socket:
    sock = socket.socket(address.family, socket.SOCK_STREAM)
    try:
        sock.settimeout(limit_s)
        sock.connect(address.where)
    except BaseException:
        sock.close()
        raise
    return sock

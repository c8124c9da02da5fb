"""stomp.py's transport, opened under our limits and read without its per-frame notifications.

Owns the socket: how it is opened (TCP or TLS, time limits, diagnosis), read (size, quick ACKs) and written.
Relies on what stomp.py offers subclasses: the hooks ``attempt_connection``, ``receive``, ``send`` and
``process_frame``, the attributes ``socket``, ``blocking``, ``sel``, ``send_queue``, ``current_host_and_port`` and
``running``, and that the io thread ends when ``running`` is false. ``tests/transport/test_stomp_py.py`` pins each.
"""

from __future__ import annotations

import contextlib
import selectors
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable

from stomp import exception, transport, utils

from stompconsole.errors import ConnectFailed, SessionClosed
from stompconsole.transport.session import Endpoint, Tls

SMALL_READ_BYTES = 16_384
LARGE_READ_BYTES = 4_194_304
HEARTBEAT_NOTICE_S = 0.1
"""How often arriving frames are told to stomp.py's heart-beat watch: each one would cost more than its parsing."""

_QUICKACK = getattr(socket, "TCP_QUICKACK", None)


class StompTransport(transport.Transport):  # type: ignore[misc]
    """One TCP or TLS connection, for one session. ``on_frame(frame)`` gets every MESSAGE, RECEIPT and ERROR."""

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
        self._timeout_s = timeout_s
        self._on_frame = on_frame
        self._sending = threading.Lock()
        self._bytes_since_frame = 0
        self._heartbeat_noticed_at = 0.0

    def attempt_connection(self) -> None:
        """Open the socket; raises ConnectFailed with a diagnosis, where stomp.py would only log one."""
        try:
            sock = socket.create_connection((self.endpoint.host, self.endpoint.port), self._timeout_s)
        except OSError as error:
            raise ConnectFailed(f"can't reach {self.endpoint}: {error}") from error
        try:
            self._prepare(sock)
        except BaseException:
            sock.close()
            raise

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
            self._use_tls(sock, self.endpoint.tls)
        self.current_host_and_port = (self.endpoint.host, self.endpoint.port)

    def _use_tls(self, sock: socket.socket, tls: Tls) -> None:
        try:
            wrapped = tls_context(tls).wrap_socket(sock, server_hostname=self.endpoint.host)
        except (OSError, ValueError) as error:
            raise ConnectFailed(f"TLS with {self.endpoint} failed: {error}{_tls_hint(error)}") from error
        wrapped.settimeout(0.0)
        self.socket = wrapped
        # On TLS stomp.py writes from its io thread alone, fed by this queue.
        self.send_queue = utils.PollableQueue()
        self.sel = selectors.DefaultSelector()
        self.sel.register(self.send_queue, selectors.EVENT_READ)
        self.sel.register(self.socket, selectors.EVENT_READ)
        self.blocking = False

    def receive(self) -> bytes:
        """One read. Large while a large frame is arriving, so that its parts are not joined a thousand times."""
        sock = self.socket
        if sock is None:
            return b""
        if _QUICKACK is not None:
            # ActiveMQ's Nagle waits for our TCP ACK before it sends on: 2,270/s against 16,000/s (BROKERS.md 15).
            sock.setsockopt(socket.IPPROTO_TCP, _QUICKACK, 1)
        data: bytes = sock.recv(min(max(SMALL_READ_BYTES, self._bytes_since_frame), LARGE_READ_BYTES))
        self._bytes_since_frame += len(data)
        if data:
            # Not for the empty read of a closed socket: how long the broker was silent is told by this.
            self.last_read_at = time.monotonic()
        elif not self.blocking:
            # stomp.py takes an empty read on TLS for "nothing yet" and would spin on a closed connection.
            self.running = False
        return data

    def process_frame(self, f: utils.Frame, frame_str: bytes) -> None:
        """Hand frames straight on; CONNECTED and heart-beats go stomp.py's way, which its heart-beat watch needs."""
        self._bytes_since_frame = 0
        if f.cmd in {"MESSAGE", "RECEIPT", "ERROR"}:
            if self.last_read_at - self._heartbeat_noticed_at > HEARTBEAT_NOTICE_S:
                self._heartbeat_noticed_at = self.last_read_at
                self.notify("heartbeat")
            self._on_frame(f)
        else:
            super().process_frame(f, frame_str)

    def send(self, encoded_frame: bytes) -> None:
        """Write to a plain socket, one writer at a time; stomp.py's own logs every failure with a traceback."""
        sock = self.socket
        if sock is None:
            raise exception.NotConnectedException
        with self._sending:
            sock.sendall(encoded_frame)

    def write(self, data: bytes) -> None:
        """Write bytes, whole, from any thread. Raises SessionClosed."""
        try:
            if self.blocking:
                self.send(data)
            else:
                self.send_queue.put(data)
        except (OSError, AttributeError, exception.NotConnectedException) as error:
            raise SessionClosed(f"writing to {self.endpoint} failed: {error or 'the connection is closed'}") from error

    def shut(self) -> None:
        """Close the socket; the io thread sees it and ends. Never raises."""
        self.running = False
        sock = self.socket
        if sock is None:
            return
        with contextlib.suppress(OSError):
            # Not close(): the io thread may be reading from it, and is woken by this.
            sock.shutdown(socket.SHUT_RDWR)
        if not self.blocking:
            with contextlib.suppress(OSError, AttributeError):
                self.send_queue.put(b"")


def tls_context(tls: Tls) -> ssl.SSLContext:
    """A client context that verifies certificate and host name unless told not to."""
    context = ssl.create_default_context(cafile=tls.ca_certs or None)
    if not tls.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if tls.cert_file:
        context.load_cert_chain(tls.cert_file, tls.key_file or None, tls.key_password or None)
    return context


def _tls_hint(error: BaseException) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return " (the broker's certificate is not trusted: set the CA file of the broker, or another host name)"
    if isinstance(error, (TimeoutError, ssl.SSLEOFError, ConnectionResetError)) or "WRONG_VERSION" in str(error):
        return " (does this port speak plain STOMP? Then switch TLS off, or use the TLS port)"
    return ""

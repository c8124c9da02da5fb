"""TLS: the handshake with its diagnosis, and the queue that feeds the only thread that may write."""

from __future__ import annotations

import socket
import ssl
import threading
from collections import deque

from stompconsole.errors import ConnectFailed
from stompconsole.transport.session import Endpoint, Tls


def handshake(sock: socket.socket, endpoint: Endpoint, tls: Tls) -> ssl.SSLSocket:
    """TLS over an open connection. Raises ConnectFailed with the setting to look at."""
    context = client_context(tls)
    try:
        return context.wrap_socket(sock, server_hostname=endpoint.host)
    except (OSError, ValueError) as error:
        raise ConnectFailed(f"TLS with {endpoint} failed: {error}{_hint(error)}") from error


def client_context(tls: Tls) -> ssl.SSLContext:
    """A context that verifies certificate and host name unless told not to. Raises ConnectFailed naming the file."""
    try:
        context = ssl.create_default_context(cafile=tls.ca_certs or None)
    except OSError as error:
        raise ConnectFailed(f"the CA file {tls.ca_certs} can't be used: {error}") from error
    if not tls.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if tls.cert_file:
        _load_certificate(context, tls)
    return context


def _load_certificate(context: ssl.SSLContext, tls: Tls) -> None:
    try:
        # An empty password, not None: for that OpenSSL asks at the terminal, and waits.
        context.load_cert_chain(tls.cert_file, tls.key_file or None, tls.key_password)
    except OSError as error:
        raise ConnectFailed(
            f"the client certificate {tls.cert_file} can't be used: {error} (is its key there, in the key file "
            f"{tls.key_file or tls.cert_file}, and is the key password right?)"
        ) from error


def _hint(error: BaseException) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return " (the broker's certificate is not trusted: set the CA file of the broker, or another host name)"
    if isinstance(error, (TimeoutError, ssl.SSLEOFError, ConnectionError)) or "WRONG_VERSION" in str(error):
        return " (does this port speak plain STOMP? Then switch TLS off, or use the TLS port)"
    return ""


class WriteQueue:
    """What is to be written. A selector sees it as readable while it holds something.

    In the place of stomp.py's own, whose ``put`` waits without a limit once a few hundred entries are in it: a
    broker that stops reading would hold every writer, and also whoever wants to end the session.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._entries: deque[bytes] = deque()
        self._read_end, self._write_end = socket.socketpair()

    def fileno(self) -> int:
        return self._read_end.fileno()

    def put(self, data: bytes) -> None:
        with self._lock:
            self._entries.append(data)
            if len(self._entries) == 1:
                # One byte while there is something, however much: writing it never blocks.
                self._write_end.send(b"x")

    def get(self) -> bytes:
        with self._lock:
            data = self._entries.popleft()
            if not self._entries:
                self._read_end.recv(1)
            return data

    def shutdown(self) -> None:
        with self._lock:
            self._read_end.close()
            self._write_end.close()

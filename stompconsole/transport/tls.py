"""TLS: the handshake with its diagnosis, and the queue that feeds the only thread that may write."""

from __future__ import annotations

import logging
import socket
import ssl
import threading
from collections import deque

from stompconsole.errors import ConnectFailed
from stompconsole.transport import diagnosis
from stompconsole.transport.diagnosis import Field
from stompconsole.transport.session import Endpoint, Tls

logger = logging.getLogger(__name__)


def handshake(sock: socket.socket, endpoint: Endpoint, tls: Tls) -> ssl.SSLSocket:
    """TLS over an open connection, within the socket's time limit. Raises ConnectFailed with the setting to look at."""
    context = client_context(tls)
    try:
        secured = context.wrap_socket(sock, server_hostname=endpoint.host)
    except (OSError, ValueError) as error:
        raise ConnectFailed(diagnosis.handshake_failed(endpoint, error)) from error
    if not tls.verify:
        UNVERIFIED.warn(endpoint)
    return secured


class Unverified:
    """Warns of endpoints whose certificate nobody verifies, of each once: sessions come and go by the thousand."""

    def __init__(self) -> None:
        self._warned: set[tuple[str, int]] = set()

    def warn(self, endpoint: Endpoint) -> None:
        """Log it, unless this process has before."""
        place = endpoint.host, endpoint.port
        if place not in self._warned:
            self._warned.add(place)
            logger.warning("TLS with %s: its certificate is not verified, %s", endpoint, UNVERIFIED_MEANS)


UNVERIFIED = Unverified()
UNVERIFIED_MEANS = "so whoever is in between can read all of it, the password too"


def client_context(tls: Tls) -> ssl.SSLContext:
    """A context that verifies certificate and host name unless told not to. Raises ConnectFailed naming the file."""
    try:
        context = ssl.create_default_context(cafile=tls.ca_certs or None)
    except OSError as error:
        raise ConnectFailed(f"the CA file {tls.ca_certs} can't be used: {error}. Look at {Field.CA_FILE}") from error
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
            f"the client certificate {tls.cert_file} can't be used: {error}. Is it there, is its key in "
            f"{tls.key_file or tls.cert_file}, and is the key password right? "
            f"Look at {Field.CERT_FILE}, {Field.KEY_FILE} and {Field.KEY_PASSWORD}"
        ) from error


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

"""A broker in the test's hand: it lets clients in, and then says exactly what the test has it say."""

from __future__ import annotations

import queue
import socket
import ssl
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from stompconsole.transport import StompSession, connect
from stompconsole.transport.session import Endpoint, Login, Tls

TIMEOUT_S = 10.0
_RESET = struct.pack("ii", 1, 0)


class Peer:
    """The broker's end of one connection."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self._unread = b""

    def read_frame(self) -> bytes:
        """The next frame, heart-beats skipped, without its NUL. Raises TimeoutError."""
        while b"\0" not in self._unread:
            data = self.sock.recv(65_536)
            if not data:
                raise ConnectionError("the client has closed the connection")
            self._unread += data
        frame, self._unread = self._unread.split(b"\0", 1)
        return frame.lstrip(b"\n")

    def receipt_of(self, frame: bytes) -> str:
        """The receipt a frame asks for."""
        (line,) = [line for line in frame.split(b"\n") if line.startswith(b"receipt:")]
        return line.removeprefix(b"receipt:").decode()

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def confirm(self, receipt: str) -> None:
        self.send(f"RECEIPT\nreceipt-id:{receipt}\n\n\0".encode())

    def message(self, subscription: str, body: bytes, ack: str = "1") -> None:
        head = f"MESSAGE\nsubscription:{subscription}\nmessage-id:m{ack}\nack:{ack}\ncontent-length:{len(body)}\n\n"
        self.send(head.encode() + body + b"\0")

    def wait_for_end(self) -> None:
        """Read until the client has closed its end."""
        with suppress(ConnectionError):
            while self.sock.recv(65_536):
                pass

    def reset(self) -> None:
        """Close with a TCP reset."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self.sock.close()

    def close(self) -> None:
        with suppress(OSError):
            socket.socket.shutdown(self.sock, socket.SHUT_RDWR)
        self.sock.close()


class ScriptedBroker:
    """Listens, lets clients in with CONNECTED, and hands over its ends of their connections."""

    def __init__(self, tls: ssl.SSLContext | None, heart_beat: str) -> None:
        self._tls = tls
        self._heart_beat = heart_beat
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._peers: queue.SimpleQueue[Peer] = queue.SimpleQueue()
        self._all: list[Peer] = []
        self._thread = threading.Thread(target=self._accept, name="scripted broker", daemon=True)
        self._thread.start()

    def endpoint(self, tls: Tls | None = None) -> Endpoint:
        return Endpoint(host="127.0.0.1", port=self._listener.getsockname()[1], tls=tls)

    def peer(self) -> Peer:
        """The broker's end of the connection that was let in next."""
        return self._peers.get(timeout=TIMEOUT_S)

    def close(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(TIMEOUT_S)
        for peer in self._all:
            peer.close()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            try:
                self._let_in(sock)
            except OSError:
                sock.close()

    def _let_in(self, sock: socket.socket) -> None:
        sock.settimeout(TIMEOUT_S)
        # What was said last must be on its way before a reset.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._tls is not None:
            sock = self._tls.wrap_socket(sock, server_side=True)
        peer = Peer(sock)
        self._all.append(peer)
        peer.read_frame()
        peer.send(f"CONNECTED\nversion:1.2\nserver:scripted/1\nheart-beat:{self._heart_beat}\n\n\0".encode())
        self._peers.put(peer)


@contextmanager
def scripted_broker(tls: ssl.SSLContext | None = None, heart_beat: str = "0,0") -> Iterator[ScriptedBroker]:
    """A scripted broker; ``tls`` is its server's side."""
    broker = ScriptedBroker(tls, heart_beat)
    try:
        yield broker
    finally:
        broker.close()


@contextmanager
def session_with(
    broker: ScriptedBroker,
    *,
    tls: Tls | None = None,
    heartbeat_s: tuple[float, float] = (0.0, 0.0),
    connect_timeout_s: float = 5.0,
) -> Iterator[tuple[StompSession, Peer]]:
    """A session and the broker's end of it."""
    session = connect(broker.endpoint(tls), Login(), heartbeat_s=heartbeat_s, connect_timeout_s=connect_timeout_s)
    try:
        yield session, broker.peer()
    finally:
        session.abort("the test is over")

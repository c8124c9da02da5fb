"""A TCP proxy that breaks connections on demand: cut, frozen, half-open, refused.

Owns faults of the network between a client and a broker. Knows nothing of STOMP.
"""

from __future__ import annotations

import socket
import struct
import threading
from contextlib import suppress
from dataclasses import dataclass

from stompconsole.transport.session import Endpoint

CHUNK_BYTES = 65_536
_RESET = struct.pack("ii", 1, 0)


@dataclass(slots=True)
class Counts:
    """Bytes let through so far."""

    from_client: int = 0
    from_broker: int = 0


class Proxy:
    """Forwards connections to ``target`` until told otherwise. A context manager; close it when done."""

    def __init__(self, target: Endpoint) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._lock = threading.Lock()
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._threads: list[threading.Thread] = []
        self._refusing = False
        self._from_client_open = threading.Event()
        self._from_broker_open = threading.Event()
        self._closed = False
        self.thaw()
        self.connections = 0
        self.counts = Counts()
        self._spawn(self._accept)

    def __enter__(self) -> Proxy:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    @property
    def endpoint(self) -> Endpoint:
        """Where clients connect to."""
        host, port = self._listener.getsockname()
        return Endpoint(host=host, port=port)

    def cut(self) -> None:
        """Reset every connection now, both sides; new ones are let through."""
        with self._lock:
            pairs, self._pairs = self._pairs, []
        for pair in pairs:
            for end in pair:
                _reset(end)

    def freeze(self) -> None:
        """A black hole: connections stay open, nothing passes either way."""
        self._from_client_open.clear()
        self._from_broker_open.clear()

    def freeze_from_broker(self) -> None:
        """Half-open: what the client writes arrives, what the broker writes does not."""
        self._from_broker_open.clear()

    def freeze_from_client(self) -> None:
        """Half-open the other way: what the broker writes arrives, what the client writes does not."""
        self._from_client_open.clear()

    def thaw(self) -> None:
        """Let everything pass again, what was held back first."""
        self._from_client_open.set()
        self._from_broker_open.set()

    def refuse(self) -> None:
        """Close new connections at once, and cut those that are there."""
        self._refusing = True
        self.cut()

    def accept(self) -> None:
        """Let new connections through again."""
        self._refusing = False

    def close(self) -> None:
        """Stop listening and cut everything."""
        self._closed = True
        # close() alone would leave a thread blocked in accept().
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.thaw()
        self.cut()
        for thread in self._threads:
            thread.join(5)

    def _accept(self) -> None:
        while not self._closed:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if self._refusing:
                _reset(client)
            else:
                self._join(client)

    def _join(self, client: socket.socket) -> None:
        try:
            broker = socket.create_connection((self._target.host, self._target.port), 5)
        except OSError:
            _reset(client)
            return
        broker.settimeout(None)
        for end in (client, broker):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with self._lock:
            # Refused since it was accepted: nobody would cut it any more.
            refused = self._refusing
            if not refused:
                self.connections += 1
                self._pairs.append((client, broker))
        if refused:
            for end in (client, broker):
                _reset(end)
            return
        self._spawn(self._pump, client, broker, self._from_client_open, "from_client")
        self._spawn(self._pump, broker, client, self._from_broker_open, "from_broker")

    def _pump(self, source: socket.socket, sink: socket.socket, gate: threading.Event, counter: str) -> None:
        with suppress(OSError):
            while data := source.recv(CHUNK_BYTES):
                gate.wait()
                sink.sendall(data)
                setattr(self.counts, counter, getattr(self.counts, counter) + len(data))
        # A black hole does not tell one side that the other has gone.
        gate.wait()
        # shutdown() first: close() alone leaves the socket open while the other pump is blocked in recv().
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def _spawn(self, target: object, *arguments: object) -> None:
        thread = threading.Thread(target=target, args=arguments, daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()


def _reset(end: socket.socket) -> None:
    with suppress(OSError):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        end.shutdown(socket.SHUT_RDWR)
    end.close()

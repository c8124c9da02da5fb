"""A bare socket that sends frames with receipts, many in flight: what a broker can give, and nothing of ours."""

from __future__ import annotations

import socket

from bench.workload import LIMIT_S, Workload


class Pipelined:
    """A connection on which receipts are counted, not looked at: STOMP sends one for each SEND that went well."""

    def __init__(self, work: Workload) -> None:
        self._sock = socket.create_connection((work.host, work.port), LIMIT_S)
        self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        login = f"CONNECT\naccept-version:1.2\nhost:/\nlogin:{work.user}\npasscode:{work.password}\n\n\0"
        self._sock.sendall(login.encode())
        self._rest = self._sock.recv(4_096)
        if not self._rest.startswith(b"CONNECTED"):
            raise SystemExit(f"no CONNECTED: {self._rest!r}")

    def send(self, frames: list[bytes]) -> None:
        """Write frames at once."""
        self._sock.sendall(b"".join(frames))

    def confirmed(self) -> int:
        """How many receipts came by the next read; waits for it."""
        got = self._sock.recv(262_144)
        if not got or b"ERROR\n" in got:
            raise SystemExit(f"the broker ended it: {got!r}")
        # A RECEIPT holds its command once; at the edge of a read it is counted with the next.
        edge = self._rest[-8:]
        data = edge + got
        self._rest = data
        return data.count(b"RECEIPT\n") - edge.count(b"RECEIPT\n")

    def close(self) -> None:
        self._sock.close()

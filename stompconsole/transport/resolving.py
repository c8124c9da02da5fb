"""Host names to addresses under a time limit, which the resolver of the system does not have.

Threads: one daemon for each name that is being looked up, however many wait for it; one that hangs outlives its
waiters and holds up nobody, the end of the process included.
"""

from __future__ import annotations

import ipaddress
import os
import socket
import threading
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import dataclass
from typing import Any

from stompconsole.errors import ConnectFailed
from stompconsole.transport import diagnosis
from stompconsole.transport.session import Endpoint

_UNRESOLVABLE = (OSError, ValueError, OverflowError)
"""Not only OSError: a name that can't be one, a port beyond 65535."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """One address of a host and port, as sockets take it."""

    family: int
    where: Any


class Resolver:
    """Looks names up, each once at a time."""

    def __init__(self) -> None:
        self._begin()
        if hasattr(os, "register_at_fork"):
            # The threads that look names up do not come along, and the lock may be held by one of them.
            os.register_at_fork(after_in_child=self._begin)

    def _begin(self) -> None:
        self._lock = threading.Lock()
        self._under_way: dict[tuple[str, int], Future[list[Address]]] = {}

    def addresses(self, endpoint: Endpoint, limit_s: float) -> list[Address]:
        """The addresses of an endpoint, in the system's order; at least one. Raises ConnectFailed in ``limit_s``."""
        try:
            if _is_address(endpoint.host):
                return _look_up(endpoint.host, endpoint.port)
            return self._lookup(endpoint.host, endpoint.port).result(limit_s)
        except FutureTimeout:
            raise ConnectFailed(diagnosis.unresolved(endpoint, f"no answer in {limit_s:g} s")) from None
        except _UNRESOLVABLE as error:
            raise ConnectFailed(diagnosis.unresolved(endpoint, error)) from error

    def _lookup(self, host: str, port: int) -> Future[list[Address]]:
        # One that hangs is shared: tried again every few seconds, a name would else cost a thread each time.
        with self._lock:
            if (host, port) in self._under_way:
                return self._under_way[host, port]
            lookup = self._under_way[host, port] = Future[list[Address]]()
        threading.Thread(target=self._carry_out, args=(host, port, lookup), name=f"look up {host}", daemon=True).start()
        return lookup

    def _carry_out(self, host: str, port: int, lookup: Future[list[Address]]) -> None:
        try:
            found = _look_up(host, port)
        except BaseException as error:  # noqa: BLE001 - whatever it is, it is for those who wait
            self._forget(host, port)
            lookup.set_exception(error)
        else:
            self._forget(host, port)
            lookup.set_result(found)

    def _forget(self, host: str, port: int) -> None:
        with self._lock:
            self._under_way.pop((host, port), None)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _look_up(host: str, port: int) -> list[Address]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [Address(family=family, where=where) for family, _, _, _, where in found]


RESOLVER = Resolver()
"""The one of this process: names that hang are shared by all who connect."""

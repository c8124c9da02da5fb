"""A server that tests use, whichever it is, and the contract of what runs one.

Owns the hand on its process and the wait until it is ready. Refuses to know how a kind of server is installed or
started: ``rabbitmq.py``, ``activemq.py``, ``postgres.py``, ``redis.py``, ``given.py``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar, Protocol

from tests.support.waiting import until

HOST = "127.0.0.1"
READY_TIMEOUT_S = 60.0
LOG_CHARACTERS = 4_000


class Rig(Protocol):
    """What runs one server: its process, its ports, its data."""

    def start(self) -> None:
        """Start it, without waiting until it is ready."""

    def is_running(self) -> bool:
        """Whether its process is there."""

    def stop(self) -> None:
        """Stop it in good order; its data stay."""

    def kill(self) -> None:
        """Kill it as a power cut would; its data stay."""

    def close(self) -> None:
        """End it for good, with whatever belongs to it."""

    def log(self) -> str:
        """The end of what it wrote, for a test that fails."""


class TestServer(ABC):
    """What every server can be asked for. ``rig`` runs it."""

    __test__: ClassVar[bool] = False
    __slots__ = ()

    name: str
    rig: Rig

    @abstractmethod
    def answers(self) -> bool:
        """Whether it does what it is there for, now."""

    def start(self) -> None:
        """Start it, if it was stopped, and wait until it is ready."""
        self.rig.start()
        self.wait_until_ready()

    def stop(self) -> None:
        """Stop it in good order: sessions are closed, its data stay."""
        self.rig.stop()

    def kill(self) -> None:
        """Kill it as a power cut would."""
        self.rig.kill()

    def restart(self) -> None:
        """Stop and start it on the same ports with the same data."""
        self.stop()
        self.start()

    def wait_until_ready(self) -> None:
        try:
            until(self.answers, READY_TIMEOUT_S, f"{self.name} answers")
        except AssertionError as error:
            raise AssertionError(f"{error}; it wrote:\n{self.rig.log()}") from None


@dataclass(frozen=True, slots=True, kw_only=True)
class TestStore(TestServer):
    """A PostgreSQL or a Redis: where it is and how to log in, as a URL."""

    name: str
    url: str = field(repr=False)
    responds: Callable[[str], bool] = field(repr=False, compare=False)
    """Whether the server at a URL answers."""
    rig: Rig = field(repr=False, compare=False)

    def answers(self) -> bool:
        return self.responds(self.url)

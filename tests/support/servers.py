"""A server that tests use, whichever it is, and the contract of what runs one.

Owns how one is started, stopped and waited for, and ``TestServer`` for those that are known by a URL. Refuses to know
how a kind of server is had and run: ``rabbitmq.py``, ``activemq.py``, ``artemis.py``, ``postgres.py``, ``given.py``.
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


class Unavailable(Exception):
    """Raised when a server can't be had on this machine; it says why."""


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Served(ABC):
    """A server of a test run, and a hand on its process."""

    __test__: ClassVar[bool] = False

    name: str
    rig: Rig = field(repr=False, compare=False)

    @abstractmethod
    def answers(self) -> bool:
        """Whether it answers now."""

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
        """Wait until it answers. Raises AssertionError with what it wrote."""
        try:
            until(self.answers, READY_TIMEOUT_S, f"{self.name} answers")
        except AssertionError as error:
            raise AssertionError(f"{error}; it wrote:\n{self.rig.log()}") from None


@dataclass(frozen=True, slots=True, kw_only=True)
class TestServer(Served):
    """A database or Redis: where it is and how to log in, as a URL."""

    __test__: ClassVar[bool] = False

    url: str = field(repr=False)
    probe: Callable[[], bool] = field(repr=False, compare=False)
    """Whether it answers now."""

    def answers(self) -> bool:
        return self.probe()


def variable_of(kind: str) -> str:
    """The environment variable that names a server of this kind."""
    return f"STOMPCONSOLE_TEST_{kind.upper()}"

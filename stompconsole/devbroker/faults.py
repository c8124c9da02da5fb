"""Faults that tests script: what the broker is to do wrong from now on, until ``clear``.

Owns which faults are on. Refuses to handle frames: sessions and connections ask ``FaultState``.
``Faults`` may be called from any thread; when a call returns, the fault is on.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from stompconsole.devbroker.frames import Frame
from stompconsole.devbroker.refusals import AfterError, Refused

T = TypeVar("T")

EVERYWHERE = "*"
"""Stands for every destination."""


class Call(Protocol):
    """Runs a function where the broker runs, and gives what it returns."""

    def __call__(self, function: Callable[[], T]) -> T: ...


class FaultyConnection(Protocol):
    """What a fault does to a connection that is open."""

    def reset(self) -> None:
        """Cut it with a TCP reset."""

    def freeze(self) -> None:
        """Read and write nothing."""

    def thaw(self) -> None:
        """Read and write again."""

    def unblock(self) -> None:
        """Take up the SEND that waits, if there is one; none is blocked any more."""


@dataclass(slots=True)
class FaultState:
    """Which faults are on."""

    frozen: bool = False
    receipts_swallowed: bool = False
    connections_refused: bool = False
    connect_refusal: str = ""
    send_refusals: dict[str, Refused] = field(default_factory=dict)
    blocked: set[str] = field(default_factory=set)
    drop_after: dict[str, int] = field(default_factory=dict)

    def blocks(self, frame: Frame) -> bool:
        """Whether a frame is to wait without an answer."""
        if not self.blocked or frame.command != "SEND":
            return False
        return EVERYWHERE in self.blocked or frame.headers.get("destination") in self.blocked

    def check_connect(self) -> None:
        """Raise Refused if nobody is to get in."""
        if self.connect_refusal:
            raise Refused(self.connect_refusal, AfterError.CLOSE)

    def check_send(self, destination: str) -> None:
        """Raise Refused if SENDs to this destination are to be refused."""
        refusal = self.send_refusals.get(destination) or self.send_refusals.get(EVERYWHERE)
        if refusal is not None:
            raise Refused(refusal.text, refusal.after)

    def drops_now(self, command: str) -> bool:
        """Count a frame that was carried out; whether the connection is to be cut after it."""
        if command not in self.drop_after:
            return False
        self.drop_after[command] -= 1
        if self.drop_after[command]:
            return False
        del self.drop_after[command]
        return True


class Faults:
    """Switches faults on and off."""

    def __init__(self, state: FaultState, connections: Collection[FaultyConnection], call: Call) -> None:
        self._state = state
        self._connections = connections
        self._call = call

    def cut_connections(self) -> int:
        """Cut every open connection with a TCP reset; how many there were. New ones are taken."""
        return self._on_each(lambda connection: connection.reset())

    def freeze(self) -> int:
        """Stop reading and writing, on connections to come too; heart-beats stop. How many froze."""
        self._set(frozen=True)
        return self._on_each(lambda connection: connection.freeze())

    def thaw(self) -> int:
        """End ``freeze``."""
        self._set(frozen=False)
        return self._on_each(lambda connection: connection.thaw())

    def refuse_connections(self) -> None:
        """Cut every new connection as soon as it is made."""
        self._set(connections_refused=True)

    def refuse_connects(self, text: str) -> None:
        """Answer every CONNECT with an ERROR and close."""
        self._set(connect_refusal=text)

    def swallow_receipts(self) -> None:
        """Carry frames out, but send no RECEIPT."""
        self._set(receipts_swallowed=True)

    def refuse_sends(self, text: str, destination: str = EVERYWHERE, after: AfterError = AfterError.STAY) -> None:
        """Answer SENDs with an ERROR."""
        self._call(lambda: self._state.send_refusals.update({destination: Refused(text, after)}))

    def drop_after(self, count: int, command: str) -> None:
        """Carry out ``count`` more frames of this command, then cut the connection of the last, unanswered. Once."""
        if count < 1:
            raise ValueError(f"count is {count}: it must be at least 1")
        self._call(lambda: self._state.drop_after.update({command: count}))

    def block_sends(self, destination: str = EVERYWHERE) -> None:
        """Leave SENDs unanswered and take nothing more from who sent one, as brokers do in an alarm or when full.

        Heart-beats go on. Nothing is delivered on a blocked connection.
        """
        self._call(lambda: self._state.blocked.add(destination))

    def unblock_sends(self) -> int:
        """End ``block_sends``: the SENDs that waited are carried out. How many connections were looked at."""
        self._call(self._state.blocked.clear)
        return self._on_each(lambda connection: connection.unblock())

    def clear(self) -> None:
        """End every fault."""
        self._set(receipts_swallowed=False, connections_refused=False, connect_refusal="")
        self._call(self._state.send_refusals.clear)
        self._call(self._state.drop_after.clear)
        self.unblock_sends()
        self.thaw()

    def _set(self, **values: bool | str) -> None:
        def change() -> None:
            for name, value in values.items():
                setattr(self._state, name, value)

        self._call(change)

    def _on_each(self, act: Callable[[FaultyConnection], None]) -> int:
        def act_on_each() -> int:
            connections = list(self._connections)
            for connection in connections:
                act(connection)
            return len(connections)

        return self._call(act_on_each)

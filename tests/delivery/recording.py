"""A session in memory: it keeps what is written, so that tests read the conversation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Future

from stompconsole.errors import SessionClosed
from stompconsole.transport.outcome import Told
from stompconsole.transport.session import Endpoint, FrameSink


class RecordingSession:
    """The ``Session`` protocol without a wire. ``frames`` are the ids of ACKs and NACKs in the order written."""

    def __init__(self) -> None:
        self.endpoint = Endpoint(host="memory", port=1)
        self.server = ""
        self.watched = False
        self.close_reason: str | None = None
        self.writes: list[bytes] = []

    @property
    def frames(self) -> list[str]:
        """``["ACK 1", "NACK 2"]``."""
        lines = [part.split(b"\n") for part in b"".join(self.writes).split(b"\0") if part]
        return [f"{line[0].decode()} {line[1].removeprefix(b'id:').decode()}" for line in lines]

    def write(self, data: bytes) -> None:
        if self.close_reason is not None:
            raise SessionClosed(self.close_reason)
        self.writes.append(data)

    def abort(self, reason: str) -> None:
        self.close_reason = self.close_reason or reason

    def disconnect(self, timeout_s: float) -> bool:
        self.abort("disconnected")
        return True

    def on_close(self, callback: Callable[[str], None]) -> None:
        raise NotImplementedError

    def subscribe(
        self, subscription_id: str, destination: str, ack: str, headers: Mapping[str, str], sink: FrameSink
    ) -> Future[None]:
        raise NotImplementedError

    def unsubscribe(self, subscription_id: str, headers: Mapping[str, str]) -> Future[None]:
        raise NotImplementedError

    def prepare(self, command: str, headers: Mapping[str, str], body: bytes, told: Told) -> bytes:
        raise NotImplementedError

    def request(self, command: str, headers: Mapping[str, str], body: bytes = b"") -> Future[None]:
        raise NotImplementedError

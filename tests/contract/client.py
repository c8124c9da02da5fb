"""A session and its dialect in a test's hand: sends, subscribes, settles, and knows when nothing more comes."""

from __future__ import annotations

import itertools
import threading
import uuid
from collections.abc import Mapping, Sequence

from stompconsole.brokers import Wanted, dialect_for
from stompconsole.transport import connect, frames
from stompconsole.transport.frames import Frame
from stompconsole.transport.session import Endpoint, Login
from tests.support.waiting import until

TIMEOUT_S = 20.0


class Inbox:
    """What one subscription was given, in order. A sink: called on the io thread."""

    def __init__(self) -> None:
        self._frames: list[Frame] = []
        self._arrived = threading.Condition()

    def __call__(self, frame: Frame) -> None:
        with self._arrived:
            self._frames.append(frame)
            self._arrived.notify_all()

    def __len__(self) -> int:
        return len(self._frames)

    def wait(self, count: int, timeout_s: float = TIMEOUT_S) -> list[Frame]:
        """The first ``count`` messages. Raises AssertionError if fewer come."""
        with self._arrived:
            if not self._arrived.wait_for(lambda: len(self._frames) >= count, timeout_s):
                raise AssertionError(f"{count} messages: only {len(self._frames)} came in {timeout_s:g} s")
            return self._frames[:count]

    def bodies(self) -> list[bytes]:
        return [frame.body for frame in self._frames]


class Client:
    """One session with a broker."""

    def __init__(self, endpoint: Endpoint, login: Login, heartbeat_s: tuple[float, float] = (0.0, 0.0)) -> None:
        self.session = connect(endpoint, login, heartbeat_s=heartbeat_s, connect_timeout_s=10.0)
        self.dialect = dialect_for("auto", self.session.server)
        self._ids = itertools.count(1)

    def send(
        self,
        destination: str,
        *bodies: bytes,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """SEND persistent messages, all at once, and wait for every RECEIPT."""
        fields = {**self.dialect.send_headers(destination), **self.dialect.route(destination), **(headers or {})}
        receipts = [self.session.request("SEND", {**fields, "content-length": str(len(body))}, body) for body in bodies]
        for receipt in receipts:
            receipt.result(TIMEOUT_S)

    def subscribe(
        self,
        destination: str,
        ack: str = "client-individual",
        prefetch: int = 100,
        headers: Mapping[str, str] | None = None,
    ) -> Inbox:
        """SUBSCRIBE and wait for its RECEIPT."""
        inbox = Inbox()
        subscription_id = f"s{next(self._ids)}"
        frame = self.dialect.subscribe(Wanted(destination=destination, prefetch=prefetch, ack=ack))
        fields = {**frame.headers, **(headers or {})}
        self.session.subscribe(subscription_id, frame.destination, ack, fields, inbox).result(TIMEOUT_S)
        return inbox

    def ack_id(self, message: Frame) -> str:
        """What an ACK of the message names."""
        return message.headers[self.dialect.ack_header]

    def ack(self, *messages: Frame) -> None:
        """ACK each, with a RECEIPT waited for: from then on the broker won't give it again."""
        receipts = [self.session.request("ACK", {"id": self.ack_id(message)}) for message in messages]
        for receipt in receipts:
            receipt.result(TIMEOUT_S)

    def nack(self, message: Frame) -> None:
        """NACK as plain STOMP has it, with a RECEIPT waited for."""
        self.session.request("NACK", {"id": self.ack_id(message)}).result(TIMEOUT_S)

    def ack_in_one_write(self, messages: Sequence[Frame]) -> None:
        self.session.write(b"".join(frames.ack(self.ack_id(message)) for message in messages))

    def wait_until_nothing_comes(self) -> None:
        """Have the broker carry three messages back to us, one after the other: what it had to give by then came."""
        destination = f"/queue/fence.{uuid.uuid4().hex[:12]}"
        inbox = self.subscribe(destination, ack="auto")
        for number in range(1, 4):
            self.send(destination, b"fence")
            inbox.wait(number)

    def bodies_left(self, destination: str, count: int) -> list[bytes]:
        """The messages of a queue, taken out: ``count`` are waited for, and more would be seen."""
        inbox = self.subscribe(destination, ack="auto")
        inbox.wait(count)
        self.wait_until_nothing_comes()
        return inbox.bodies()

    def wait_until_closed(self, timeout_s: float = TIMEOUT_S) -> str:
        """Wait for the session's end; its reason."""
        return until(lambda: self.session.close_reason, timeout_s, "the session ends") or ""

    def disconnect(self) -> None:
        """Leave in good order."""
        assert self.session.disconnect(TIMEOUT_S), "DISCONNECT got no RECEIPT"

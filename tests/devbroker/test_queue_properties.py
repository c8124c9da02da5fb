"""Whatever clients do, a message is in one place: ready in one queue, held by one client, or settled for good.

A model keeps the order of every queue and who holds what; sessions run with no socket, over a wire that remembers.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from stompconsole.devbroker.faults import FaultState
from stompconsole.devbroker.frames import Frame, Version
from stompconsole.devbroker.handshake import Agreement
from stompconsole.devbroker.options import BrokerOptions
from stompconsole.devbroker.parser import FrameParser
from stompconsole.devbroker.session import Session, Surroundings
from stompconsole.devbroker.store import Store
from stompconsole.devbroker.transcripts import Transcripts

QUEUES = ["/queue/a", "/queue/b"]
DEAD_LETTERS = {queue: queue.replace("/queue/", "/queue/DLQ.") for queue in QUEUES}


class Wire:
    """A connection that writes nowhere."""

    def __init__(self) -> None:
        self.parser = FrameParser(BrokerOptions().frames)
        self.writable = True

    def write(self, *parts: bytes) -> None:
        self.parser.feed(b"".join(parts))

    def agreed(self, agreement: Agreement) -> None:
        self.parser.version = agreement.version

    def close(self) -> None:
        raise AssertionError("no rule closes")

    reset = close


@dataclass(eq=False)
class Client:
    """A session, what it holds in the order of delivery, what of it its open transaction is going to settle."""

    session: Session
    wire: Wire
    version: Version
    modes: dict[str, str] = field(default_factory=dict)
    held: dict[int, Frame] = field(default_factory=dict)
    reserved: set[int] = field(default_factory=set)
    steps: list[tuple[str, int, str]] | None = None


class Queues(RuleBasedStateMachine):
    clients = Bundle("clients")
    subscriptions = Bundle("subscriptions")

    def __init__(self) -> None:
        super().__init__()
        options = BrokerOptions()
        self.store = Store(options, "run", lambda: None)
        self.surroundings = Surroundings(
            options=options, store=self.store, faults=FaultState(), transcripts=Transcripts(0)
        )
        self.everybody: list[Client] = []
        self.bodies = 0
        self.names = 0
        self.order: dict[str, list[int]] = defaultdict(list)
        self.place: dict[int, str] = {}
        self.delivered: set[tuple[int, str]] = set()

    @rule(target=clients, version=st.sampled_from(Version))
    def connect(self, version: Version) -> Client:
        client = self.new_client(version)
        self.everybody.append(client)
        return client

    @rule(client=consumes(clients))
    def drop(self, client: Client) -> None:
        client.session.end()
        self.everybody.remove(client)

    @rule(
        target=subscriptions,
        client=clients,
        queue=st.sampled_from([*QUEUES, *DEAD_LETTERS.values()]),
        mode=st.sampled_from(["auto", "client", "client-individual"]),
        prefetch=st.integers(1, 3),
    )
    def subscribe(self, client: Client, queue: str, mode: str, prefetch: int) -> tuple[Client, str]:
        self.names += 1
        name = f"s@{self.names}:x"
        headers = {"id": name, "destination": queue, "ack": mode, "prefetch-count": str(prefetch)}
        client.modes[name] = mode
        self.say(client, "SUBSCRIBE", headers)
        return client, name

    @rule(subscription=consumes(subscriptions))
    def unsubscribe(self, subscription: tuple[Client, str]) -> None:
        client, name = subscription
        if client in self.everybody:
            self.say(client, "UNSUBSCRIBE", {"id": name})
            del client.modes[name]
            self.give_back(client)

    @rule(client=clients, queue=st.sampled_from(QUEUES), in_transaction=st.booleans())
    def send(self, client: Client, queue: str, in_transaction: bool) -> None:
        self.bodies += 1
        self.say(client, "SEND", {"destination": queue, **self.transaction(client, in_transaction)}, self.bodies)
        if in_transaction and client.steps is not None:
            client.steps.append(("SEND", self.bodies, queue))
        else:
            self.put(self.bodies, queue)

    @rule(client=clients, index=st.integers(0, 5), command=st.sampled_from(["ACK", "NACK"]), in_tx=st.booleans())
    def settle(self, client: Client, index: int, command: str, in_tx: bool) -> None:
        free = [body for body in client.held if body not in client.reserved]
        if not free:
            return
        body = free[index % len(free)]
        message = client.held[body]
        covered = self.covered(client, body)
        # Header values go into the session as they are, with no wire in between.
        named = {name: message.headers.get(key, "") for name, key in self.naming(client)}
        self.say(client, command, {**named, **self.transaction(client, in_tx)})
        for settled in covered:
            if in_tx and client.steps is not None:
                client.reserved.add(settled)
                client.steps.append((command, settled, ""))
            else:
                self.settled(client, command, settled)

    @rule(client=clients)
    def begin(self, client: Client) -> None:
        if client.steps is None:
            self.say(client, "BEGIN", {"transaction": "t"})
            client.steps = []

    @rule(client=clients)
    def commit(self, client: Client) -> None:
        if client.steps is None:
            return
        self.say(client, "COMMIT", {"transaction": "t"})
        for command, body, queue in client.steps:
            if command == "SEND":
                self.put(body, queue)
            else:
                self.settled(client, command, body)
        client.steps = None
        client.reserved.clear()

    @rule(client=clients)
    def abort(self, client: Client) -> None:
        if client.steps is None:
            return
        self.say(client, "ABORT", {"transaction": "t"})
        client.steps = None
        client.reserved.clear()
        self.give_back(client)

    @rule(client=clients, writable=st.booleans())
    def stall(self, client: Client, writable: bool) -> None:
        client.wire.writable = writable
        if writable:
            client.session.wake()

    @rule()
    def pump(self) -> None:
        self.store.pump()
        for client in self.everybody:
            self.read(client)

    @invariant()
    def nothing_is_lost_or_doubled(self) -> None:
        queues = [*QUEUES, *DEAD_LETTERS.values(), *(f"/queue/DLQ.DLQ.{queue[7:]}" for queue in QUEUES)]
        there = sum(source.depth + source.unacked for queue in queues for source in self.store.sources(queue))
        held = sum(len(client.held) for client in self.everybody)

        assert there == len(self.place)
        assert held == sum(source.unacked for queue in queues for source in self.store.sources(queue))

    def teardown(self) -> None:
        for client in self.everybody:
            client.session.end()
        self.everybody.clear()
        for queue in list(self.order):
            reader = self.new_client(Version.V12)
            self.say(
                reader, "SUBSCRIBE", {"id": "last", "destination": queue, "ack": "client", "prefetch-count": "999"}
            )
            expected = [body for body in self.order[queue] if self.place.get(body) == queue]
            before = set(self.delivered)
            self.store.pump()
            self.read(reader)
            assert list(reader.held) == expected
            for body, frame in reader.held.items():
                assert ("redelivered" in frame.headers) == ((body, queue) in before)

    def new_client(self, version: Version) -> Client:
        wire = Wire()
        client = Client(Session(0, wire, self.surroundings), wire, version)
        client.session.handle(Frame("CONNECT", {"accept-version": version}))
        assert self.next_frame(client).command == "CONNECTED"
        return client

    def say(self, client: Client, command: str, headers: dict[str, str], body: int | None = None) -> None:
        """Have a frame carried out, without handing anything out yet."""
        client.session.handle(Frame(command, {**headers, "receipt": "r"}, b"" if body is None else str(body).encode()))
        assert self.next_frame(client).command == "RECEIPT"

    def next_frame(self, client: Client) -> Frame:
        frame = client.wire.parser.next_frame()
        assert frame is not None
        return frame

    def read(self, client: Client) -> None:
        while (frame := client.wire.parser.next_frame()) is not None:
            body, queue = int(frame.body), frame.headers["destination"]
            assert frame.command == "MESSAGE"
            assert self.place[body] == queue, "it was settled, or is elsewhere"
            # Of a client whose subscription has ended a transaction may still hold it; then nobody else gets it.
            assert not any(body in other.held for other in self.everybody), "held twice"
            assert ("redelivered" in frame.headers) == ((body, queue) in self.delivered)
            self.delivered.add((body, queue))
            if client.modes.get(frame.headers["subscription"]) == "auto":
                del self.place[body]
            else:
                client.held[body] = frame

    def put(self, body: int, queue: str) -> None:
        self.order[queue].append(body)
        self.place[body] = queue

    def settled(self, client: Client, command: str, body: int) -> None:
        del client.held[body]
        queue = self.place.pop(body)
        if command == "NACK":
            self.put(body, "/queue/DLQ." + queue.removeprefix("/queue/"))

    def give_back(self, client: Client) -> None:
        """Forget what is held for subscriptions that have ended, unless the transaction keeps it."""
        for body, frame in list(client.held.items()):
            if frame.headers["subscription"] not in client.modes and body not in client.reserved:
                del client.held[body]

    def covered(self, client: Client, body: int) -> list[int]:
        name = client.held[body].headers["subscription"]
        if client.modes[name] != "client":
            return [body]
        same = [other for other, frame in client.held.items() if frame.headers["subscription"] == name]
        return [other for other in same[: same.index(body) + 1] if other not in client.reserved]

    def transaction(self, client: Client, in_transaction: bool) -> dict[str, str]:
        return {"transaction": "t"} if in_transaction and client.steps is not None else {}

    def naming(self, client: Client) -> list[tuple[str, str]]:
        if client.version is Version.V12:
            return [("id", "ack")]
        return [("message-id", "message-id"), ("subscription", "subscription")]


Queues.TestCase.settings = settings(
    max_examples=100, stateful_step_count=60, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
TestQueues = Queues.TestCase

"""One test's scene: a real broker, ``pubsub`` processes at it, and the other end of the wire in the test's hand."""

from __future__ import annotations

import json
import socket
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stompconsole.transport.frames import Frame
from stompconsole.transport.session import Endpoint
from tests.contract.client import Client
from tests.support import processes
from tests.support.brokers import TestBroker
from tests.support.processes import ManagedProcess
from tests.support.rawstomp import RawClient, connected

HANDLERS = "tests.django_stomp.sample"


class Scene:
    """Names a queue that nobody else uses, and ends what it started."""

    def __init__(self, broker: TestBroker, folder: Path) -> None:
        self.broker = broker
        self.folder = folder
        self.name = f"w.{uuid.uuid4().hex[:12]}"
        self.queue = f"/queue/{self.name}"
        self.dead_letters = f"/queue/DLQ.{self.name}"
        self._processes: list[ManagedProcess] = []
        self._clients: list[Client | RawClient] = []

    def __enter__(self) -> Scene:
        return self

    def __exit__(self, *exc_info: object) -> None:
        for process in self._processes:
            process.kill()
            # Shown by pytest when the test has failed.
            print(f"--- process {process.pid}:\n{process.text()}")
        for client in self._clients:
            if isinstance(client, RawClient):
                client.close()
            else:
                client.session.abort("the test is over")

    def pubsub(self, handler: str, *, destination: str = "", **settings: str) -> ManagedProcess:
        """``pubsub`` with a handler of ours; ``settings`` are in its environment."""
        path = handler if "." in handler else f"{HANDLERS}.{handler}"
        return self.command("pubsub", destination or self.queue, path, **settings)

    def command(self, *arguments: str, **settings: str) -> ManagedProcess:
        """Any command of ``manage.py``, at this broker."""
        process = processes.start_manage(*arguments, env=self.environment(settings))
        self._processes.append(process)
        return process

    def environment(self, settings: Mapping[str, str]) -> dict[str, str]:
        """The environment of a process that plays here. It has no migrated database, as with django-stomp."""
        database = f"sqlite:///{self.folder / 'never-migrated.sqlite3'}"
        return {"DATABASE_URL": database, "TEST_GATES": str(self.folder), **self.settings(), **settings}

    def settings(self) -> dict[str, str]:
        """Those of django-stomp that lead to this broker."""
        login = {"STOMP_SERVER_USER": self.broker.user, "STOMP_SERVER_PASSWORD": self.broker.password}
        return {**at(self.broker.endpoint()), **login, "STOMP_WAIT_TO_CONNECT": "1"}

    def open_gate(self, body: object) -> None:
        """Let the handler that is held up at this body go on."""
        (self.folder / str(body)).touch()

    def client(self) -> Client:
        """A session of the test's own."""
        client = Client(self.broker.endpoint(), self.broker.login())
        self._clients.append(client)
        return client

    def raw(self, version: str = "1.1") -> RawClient:
        """A bare socket that was let in: says what django-stomp said, byte by byte."""
        login = {"login": self.broker.user, "passcode": self.broker.password}
        client = connected(self.broker.host, self.broker.port, version, login)
        self._clients.append(client)
        return client

    def declare(self, name: str) -> None:
        """Leave a queue and its DLQ on the broker as a ``pubsub`` of django-stomp that has run leaves them."""
        for destination in (f"DLQ.{name}", f"/queue/{name}"):
            with self.raw() as client:
                client.done("SUBSCRIBE", {"id": f"{uuid.uuid4()}-listener", **subscribing(destination)})
                client.done("DISCONNECT")

    def send(self, *bodies: Any, to: str = "", **headers: str) -> None:
        """Put messages there as django-stomp's publisher did: persistent, JSON, with a correlation id. Bytes as is."""
        destination = to or self.queue
        with self.raw() as client:
            for body in bodies:
                data = body if isinstance(body, bytes) else json.dumps(body).encode()
                client.done("SEND", {**sending(destination, data), **headers}, data)
            client.done("DISCONNECT")

    def refuse(self, *bodies: Any) -> None:
        """Leave dead letters behind: messages that a consumer of django-stomp was given, and NACKed."""
        self.send(*bodies)
        with self.raw() as client:
            client.done("SUBSCRIBE", {"id": "old-listener", **subscribing(self.queue)})
            for _ in bodies:
                client.settle(client.read_frame(), "NACK", {"requeue": "False"})
            client.done("DISCONNECT")

    def left(self, destination: str, count: int) -> list[Frame]:
        """The messages of a queue, taken out: exactly ``count``. Raises AssertionError."""
        client = self.client()
        inbox = client.subscribe(self.existing(destination))
        messages = inbox.wait(count)
        client.wait_until_nothing_comes()
        assert len(inbox) == count, f"{destination} has {inbox.bodies()}"
        client.ack(*messages)
        client.disconnect()
        return messages

    def sessions(self, process: ManagedProcess) -> int:
        """How many sessions with a subscription a ``pubsub`` of ours has had."""
        return process.text().count("\nrunning")

    def existing(self, destination: str) -> str:
        """A queue that is there, spelt so that nothing is declared, whoever declared it."""
        return destination.replace("/queue/", "/amq/queue/") if "rabbitmq" in self.broker.name else destination


def at(endpoint: Endpoint) -> dict[str, str]:
    """The settings that lead there."""
    return {"STOMP_SERVER_HOST": endpoint.host, "STOMP_SERVER_PORT": str(endpoint.port)}


def heard_first(listener: socket.socket) -> bytes:
    """What the next one who connects says first."""
    client, _ = listener.accept()
    with client:
        client.settimeout(30)
        return client.recv(4096)


def subscribing(destination: str) -> dict[str, str]:
    """The headers of django-stomp's SUBSCRIBE but for ``id``, as they were seen on the wire."""
    name = destination.rpartition("/")[2]
    return {
        "destination": destination,
        "ack": "client",
        "x-queue-name": name,
        "auto-delete": "false",
        "durable": "true",
        "exclusive": "False",
        "prefetch-count": "1",
        "activemq.prefetchSize": "1",
        "client-id": f"{uuid.uuid4()}-listener",
        "x-dead-letter-exchange": "",
        "x-dead-letter-routing-key": f"DLQ.{name}",
    }


def sending(destination: str, body: bytes) -> dict[str, str]:
    """The headers of django-stomp's SEND, as they were seen on the wire."""
    return {
        "destination": destination,
        "content-type": "application/json;charset=utf-8",
        "content-length": str(len(body)),
        "correlation-id": str(uuid.uuid4()),
        "tshoot-destination": destination,
        "x-dead-letter-exchange": "",
        "x-dead-letter-routing-key": f"DLQ.{destination.rpartition('/')[2]}",
        "persistent": "true",
    }


def bodies(messages: list[Frame]) -> list[Any]:
    """What they say, as JSON."""
    return [json.loads(message.body) for message in messages]

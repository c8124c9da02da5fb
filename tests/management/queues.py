"""Queues of any broker for tests of the commands: filled and read to the end, and the settings that lead there."""

from __future__ import annotations

import queue
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from stompconsole.brokers import Dialect, Wanted, dialect_for
from stompconsole.delivery.connecting import open_session
from stompconsole.delivery.specs import BrokerSpec
from stompconsole.transport import frames
from stompconsole.transport.frames import Frame
from stompconsole.transport.session import Endpoint, Session
from tests.support.brokers import TestBroker

PREFETCH = 1_000


def settings_of(broker: TestBroker, **others: Any) -> dict[str, Any]:
    """The STOMP_* settings that lead to a broker."""
    return {
        "STOMP_SERVER_HOST": broker.host,
        "STOMP_SERVER_PORT": broker.port,
        "STOMP_SERVER_USER": broker.user,
        "STOMP_SERVER_PASSWORD": broker.password,
        "STOMP_SERVER_VHOST": broker.vhost,
        **others,
    }


def environment_of(broker: TestBroker, **others: str) -> dict[str, str]:
    """The same for a process, which is to need no database."""
    settings = {name: str(value) for name, value in settings_of(broker, **others).items()}
    return {"DATABASE_URL": "sqlite:////nowhere/never-made.sqlite3", "LOG_LEVEL": "WARNING", **settings}


def through(broker: TestBroker, endpoint: Endpoint) -> TestBroker:
    """The broker as it is reached through a proxy."""
    return replace(broker, host=endpoint.host, port=endpoint.port)


def unused(name: str) -> str:
    """A queue that nobody else uses."""
    return f"/queue/test.{uuid.uuid4().hex[:8]}.{name}"


@contextmanager
def session_of(spec: BrokerSpec) -> Iterator[tuple[Session, Dialect]]:
    """A session of the test's own."""
    session = open_session(spec)
    try:
        yield session, dialect_for("auto", session.server)
    finally:
        session.disconnect(5.0)


def fill(broker: TestBroker, destination: str, bodies: Sequence[bytes], **headers: str) -> None:
    """Put messages there, in this order, confirmed."""
    with session_of(broker.broker_spec()) as (session, dialect):
        fields = {**dialect.send_headers(destination), **dialect.route(destination), **headers}
        length = [{"content-length": str(len(body))} if b"\0" in body else {} for body in bodies]
        sent = [session.request("SEND", {**fields, **more}, body) for body, more in zip(bodies, length, strict=True)]
        for confirmed in sent:
            confirmed.result(30)


def numbered(count: int, size: int = 300) -> list[bytes]:
    """Bodies that differ."""
    return [b"%06d".ljust(size, b".") % number for number in range(count)]


def take_out(broker: TestBroker, destination: str) -> list[Frame]:
    """Every message of a queue that nobody else reads, in the order it gives them.

    A mark is sent there and read up to: what is before it has then come, without waiting for what might.
    """
    mark = uuid.uuid4().hex.encode()
    fill(broker, destination, [mark])
    came: queue.SimpleQueue[Frame] = queue.SimpleQueue()
    taken: list[Frame] = []
    with session_of(broker.broker_spec()) as (session, dialect):
        wanted = dialect.subscribe(Wanted(destination=destination, prefetch=PREFETCH))
        session.subscribe("reading", wanted.destination, "client-individual", wanted.headers, came.put).result(10)
        while (message := came.get(timeout=20)).body != mark:
            taken.append(message)
            session.write(frames.ack(message.headers[dialect.ack_header]))
        session.write(frames.ack(message.headers[dialect.ack_header]))
        session.unsubscribe("reading", {}).result(10)
    return taken


def bodies(broker: TestBroker, destination: str) -> list[bytes]:
    """The bodies of ``take_out``."""
    return [message.body for message in take_out(broker, destination)]

"""``build_publisher`` and its publisher, with the meaning they had in django-stomp: a connection of one's own, with a
client id, that sends at once whatever becomes of a database transaction.

Owns its session, the tries of a send, and the headers that django-stomp gave its messages. Refuses STOMP transactions:
see ``Publisher.do_inside_transaction``.
"""

from __future__ import annotations

import logging
import os
import threading
import time
import uuid
import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from typing import Any, ClassVar, Self

from stompconsole.delivery.retry import delay_s
from stompconsole.delivery.sender import Sender
from stompconsole.delivery.senders import Senders
from stompconsole.delivery.specs import BrokerSpec, RetryPolicy
from stompconsole.errors import (
    BrokerBlocked,
    BrokerError,
    BrokerRefused,
    ConfigurationError,
    LoginRefused,
    ReceiptTimeout,
)
from stompconsole.publishing import messages, withholding
from stompconsole.publishing.brokers import spec_from_settings
from stompconsole.publishing.holding import holding, open_block
from stompconsole.publishing.messages import Message
from stompconsole.publishing.pipelining import Outgoing, send_now

logger = logging.getLogger(__name__)

CLOSE_TIMEOUT_S = 2.0
BETWEEN_TRIES = RetryPolicy(first_delay_s=0.2, factor=2.0, max_delay_s=2.0)
TRY_FOR_S = 15.0
"""After this long there is no further try, however many are left: a web request waits for it."""


def build_publisher(client_id: str | None = None) -> Publisher:
    """A publisher for the broker that the STOMP_* settings describe, not connected yet; it needs no database.

    The broker sees it as ``<client_id>-publisher``; a client id that is not given is made. Raises ConfigurationError.
    """
    broker = spec_from_settings()
    login = replace(broker.login, client_id=f"{client_id or uuid.uuid4()}-publisher")
    return Publisher(replace(broker, login=login))


def auto_open_close_connection(publisher: Publisher) -> AbstractContextManager[Publisher]:
    """``publisher.auto_open_close_connection()``."""
    return publisher.auto_open_close_connection()


def do_inside_transaction(publisher: Publisher) -> AbstractContextManager[Publisher]:
    """``publisher.do_inside_transaction()``."""
    return publisher.do_inside_transaction()


class Publisher:
    """One connection for sending, opened when first needed. Its methods may be called from any thread."""

    UNSAFE_OR_RESERVED_BROKER_HEADERS_FOR_REMOVAL: ClassVar[tuple[str, ...]] = (
        "message-id",
        "transaction",
        "redelivered",
        "subscription",
        "destination",
        "content-length",
        "content-type",
    )
    """Headers that are taken out of what ``send`` is given, besides those that no SEND may have at all."""

    def __init__(self, broker: BrokerSpec) -> None:
        self._broker = broker
        self._begin()

    def start(self) -> None:
        """Connect; nothing to do if it is connected. Raises ConnectFailed."""
        if not withholding.is_withheld():
            self._sender().dialect()

    def start_if_not_open(self) -> None:
        """The same as ``start``."""
        self.start()

    def is_open(self) -> bool:
        """Whether it is connected now."""
        return self._sender().is_open

    def close(self) -> None:
        """DISCONNECT. A later ``send`` connects again."""
        self._senders.close(CLOSE_TIMEOUT_S)

    def send(
        self,
        body: Any,
        queue: str,
        headers: Mapping[str, Any] | None = None,
        persistent: bool = True,  # noqa: FBT001, FBT002 - as django-stomp has it
        attempt: int = 10,
    ) -> None:
        """Send ``body`` as JSON to ``queue``, a destination such as /queue/orders, and wait until the broker has it.

        Where the connection fails it is tried ``attempt`` times in all, with short pauses that grow; no try begins
        later than 15 s after the first. A message whose receipt was lost with the connection may then be with the
        broker twice. A ``correlation-id`` of yours is kept, else it is that of the message or request in hand, else a
        new one. Connects if need be.

        Inside ``do_inside_transaction`` it is kept until the block ends. Raises as ``publish``.
        """
        if attempt < 1:
            raise ConfigurationError(f"attempt is {attempt}; it is how often to try: at least 1")
        message = self._message(body, queue, headers or {}, persistent=persistent)
        block = open_block(self)
        if block is not None:
            block.hold(message)
        else:
            self._send([message], attempt)

    @contextmanager
    def auto_open_close_connection(self) -> Iterator[Self]:
        """Connected inside the block, closed after it. Raises ConnectFailed at its beginning."""
        self.start()
        try:
            yield self
        finally:
            self.close()

    @contextmanager
    def do_inside_transaction(self) -> Iterator[Self]:
        """What is sent inside the block goes out when it ends, and not at all if it raises.

        A block inside another of this publisher belongs to it: all of it is sent when the outermost ends, but for an
        inner one that raised. Threads have blocks of their own; ``asyncio.to_thread`` and ``sync_to_async`` calls
        share that of their caller.

        Messages are held here and sent one behind the other at the end, each with its receipt: transactions of STOMP
        are not atomic on RabbitMQ, and on no broker does a refused message stop their COMMIT. So a process that dies
        while they go out has sent the first ones and not the rest, and an error then says how many were confirmed;
        there is one try. Raises ConnectFailed at the beginning of the outermost block, and at its end as ``publish``.
        """
        enclosing = open_block(self)
        if enclosing is None:
            self.start()
        with holding(self) as block:
            yield self
        held = block.end()
        if enclosing is not None:
            enclosing.hold(*held)
        elif held:
            self._send(held, tries=1)

    def _begin(self) -> None:
        self._senders = Senders()
        self._process = os.getpid()
        # One that is dropped without close(): its session ends with it, and not only with the process.
        weakref.finalize(self, _close_aside, self._senders).atexit = False

    def _message(self, body: Any, queue: str, headers: Mapping[str, Any], *, persistent: bool) -> Message:
        given = messages.texts(headers)
        unsafe = self.UNSAFE_OR_RESERVED_BROKER_HEADERS_FOR_REMOVAL
        kept = {name: value for name, value in given.items() if name not in unsafe}
        made = {
            "content-type": messages.JSON,
            "tshoot-destination": queue,
            # As django-stomp had it, so that RabbitMQ declares a new queue as its consumers do. See BROKERS.md 4.
            "x-dead-letter-exchange": "",
            "x-dead-letter-routing-key": f"DLQ.{queue.rpartition('/')[2]}",
        }
        return messages.checked(
            Message(
                destination=queue,
                headers={**messages.team_headers(kept), **made},
                body=messages.as_json(body),
                persistent=persistent or given.get("persistent") == "true",
                unique_id=str(uuid.uuid4()),
            )
        )

    def _send(self, held: Sequence[Message], tries: int) -> None:
        outgoing = Outgoing(broker=self._broker, messages=held)
        until = time.monotonic() + TRY_FOR_S
        for tried in range(1, tries + 1):
            try:
                return send_now(outgoing, self._sender())
            except BrokerError as error:
                pause_s = delay_s(tried, BETWEEN_TRIES)
                if tried == tries or not _may_pass(error) or time.monotonic() + pause_s > until:
                    raise
                _log(held[0], tried, tries, pause_s, error)
                time.sleep(pause_s)
        return None

    def _sender(self) -> Sender:
        if self._process != os.getpid():
            # A fork: the session is the parent's, two processes must not write on one connection.
            self._begin()
        return self._senders.of(self._broker)


def _close_aside(senders: Senders) -> None:
    # Whoever dropped the publisher may be any thread, the sender's own too, and must not wait for the broker.
    closing = threading.Thread(target=senders.close, args=(CLOSE_TIMEOUT_S,), name="publisher closing", daemon=True)
    closing.start()


def _may_pass(error: BrokerError) -> bool:
    """Whether another try makes sense."""
    match error:
        case BrokerBlocked():
            return True
        case BrokerRefused() | LoginRefused():
            return False
        case ReceiptTimeout():
            # A broker that is blocked has the message, and carries it out when it can.
            return False
        case _:
            return True


def _log(message: Message, tried: int, tries: int, pause_s: float, error: BrokerError) -> None:
    logger.warning(
        "sending to %s failed, try %d of %d, the next in %.1f s: %s",
        message.destination,
        tried,
        tries,
        pause_s,
        error,
        extra={"destination": message.destination, "correlation_id": message.correlation_id},
    )

"""Publishing: a message to a destination of a broker, confirmed by the broker's receipt before the call returns.

Owns the process's sending sessions: one for each broker, opened when first needed, shared by all threads, not
inherited by a fork, closed at exit. Refuses to lose a message quietly: what is not confirmed raises.
"""

from __future__ import annotations

import atexit
import json
import logging
import os
import uuid
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import dataclass
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder
from django.db import transaction

from stompconsole.brokers import Dialect
from stompconsole.delivery import envelope
from stompconsole.delivery.sender import Senders
from stompconsole.delivery.specs import BrokerSpec
from stompconsole.errors import BrokerError, ConfigurationError, ReceiptTimeout
from stompconsole.models import Broker
from stompconsole.models.default_broker import NAME as DEFAULT
from stompconsole.models.default_broker import keep_default_broker
from stompconsole.transport import frames

logger = logging.getLogger(__name__)

CORRELATION_ID = "correlation-id"
JSON = "application/json;charset=utf-8"
TEXT = "text/plain;charset=utf-8"
BYTES = "application/octet-stream"

WINDOW = 500
"""Messages of ``publish_many`` that wait for their receipts at once."""

_CLOSE_TIMEOUT_S = 2.0
_GRACE_S = 5.0
"""The sender ends a session whose receipts are late; this much later we stop waiting for it to say so."""

_PLAIN = Dialect()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Message:
    """One SEND, but for what the broker's dialect adds."""

    destination: str
    headers: dict[str, str]
    body: bytes


def publish(
    destination: str,
    body: Any,
    *,
    headers: Mapping[str, Any] | None = None,
    broker: str = DEFAULT,
    timeout_s: float | None = None,
) -> None:
    """Send one message, persistent, and wait until the broker has it.

    ``body`` is sent as JSON; ``bytes`` and ``str`` as they are. A ``correlation-id`` and a ``content-type`` of
    yours are kept, else made; headers that brokers or the console reserve are left out. ``broker`` is the name of a
    row; ``default`` is the one that the STOMP_* settings describe. ``timeout_s`` shortens the broker's receipt time
    limit, in seconds; connecting has its own.

    Inside a transaction the message is sent after the commit, and not at all after a rollback. An error is then logged
    and raised out of the block: the data are stored, the message may be missing, and only you know what that means.

    Raises ConnectFailed and BrokerRefused: the broker does not have it. ReceiptTimeout and SessionClosed: it may or
    may not have it. ConfigurationError: no such broker, or a header that can't be sent.
    """
    publish_many(destination, [body], headers=headers, broker=broker, timeout_s=timeout_s)


def publish_many(
    destination: str,
    bodies: Iterable[Any],
    *,
    headers: Mapping[str, Any] | None = None,
    broker: str = DEFAULT,
    timeout_s: float | None = None,
) -> None:
    """Send messages without waiting for each receipt before the next; returns when the broker has them all.

    As ``publish`` otherwise; each gets a correlation-id of its own unless ``headers`` have one. An error says how many
    were confirmed. The others may or may not be with the broker.
    """
    messages = [_message(destination, body, headers or {}) for body in bodies]
    spec = broker_spec(broker)
    send = _after_commit if transaction.get_connection().in_atomic_block else _send
    transaction.on_commit(lambda: send(spec, messages, timeout_s))


def broker_spec(name: str = DEFAULT) -> BrokerSpec:
    """The broker row with this name, as a value; ``default`` is made from the STOMP_* settings if need be.

    Raises ConfigurationError naming the brokers there are.
    """
    row = Broker.objects.filter(name=name).first()
    if row is None and name == DEFAULT:
        row = keep_default_broker()
    if row is None:
        known = ", ".join(Broker.objects.values_list("name", flat=True)) or "none"
        hint = " and STOMP_SERVER_HOST is not set" if name == DEFAULT else ""
        raise ConfigurationError(f"there is no broker named {name!r}{hint}; there are: {known}. Add it in the admin.")
    return row.spec()


def _message(destination: str, body: Any, headers: Mapping[str, Any]) -> _Message:
    if not destination:
        raise ConfigurationError("the destination is empty: give one as the broker names it, such as /queue/orders")
    data, content_type = _encoded(body)
    given = _PLAIN.resend_headers(envelope.without_ours(_texts(headers)))
    given[CORRELATION_ID] = given.get(CORRELATION_ID) or str(uuid.uuid4())
    # content-length as stomp.py and django-stomp send it: the receiver of a Java broker gets bytes, not text.
    complete = {"content-type": content_type, **given, "content-length": str(len(data))}
    # Encoded once for its checks: in a transaction, what can't be sent must fail here and not after the commit.
    frames.encode("SEND", {**complete, "destination": destination})
    return _Message(destination=destination, headers=complete, body=data)


def _encoded(body: Any) -> tuple[bytes, str]:
    match body:
        case bytes() | bytearray() | memoryview():
            return bytes(body), BYTES
        case str():
            return body.encode(), TEXT
        case _:
            return json.dumps(body, cls=DjangoJSONEncoder).encode(), JSON


def _texts(headers: Mapping[str, Any]) -> dict[str, str]:
    return {str(name): _text(value) for name, value in headers.items() if value is not None}


def _text(value: Any) -> str:
    # Python's "True" is no true to ActiveMQ.
    return str(value).lower() if isinstance(value, bool) else str(value)


def _after_commit(spec: BrokerSpec, messages: Sequence[_Message], timeout_s: float | None) -> None:
    try:
        _send(spec, messages, timeout_s)
    except BrokerError as error:
        destination = messages[0].destination
        logger.error(  # noqa: TRY400 - raised as well, with its traceback
            "the transaction is committed, but publishing to %s failed: %s",
            destination,
            error,
            extra={"destination": destination, "correlation_ids": [m.headers[CORRELATION_ID] for m in messages[:20]]},
        )
        raise


def _send(spec: BrokerSpec, messages: Sequence[_Message], timeout_s: float | None) -> None:
    if not messages:
        return
    sender = process_senders().of(spec)
    dialect = sender.dialect()
    limit_s = spec.receipt_timeout_s + _GRACE_S if timeout_s is None else timeout_s
    awaited: deque[Future[None]] = deque()
    confirmed = 0
    try:
        for message in messages:
            if len(awaited) >= WINDOW:
                _confirm(awaited.popleft(), limit_s)
                confirmed += 1
            headers = {**message.headers, **dialect.send_headers(message.destination)}
            awaited.append(sender.send(message.destination, headers, message.body))
        for sent in awaited:
            _confirm(sent, limit_s)
            confirmed += 1
    except BrokerError as error:
        if len(messages) == 1:
            raise
        raise type(error)(f"{confirmed} of {len(messages)} messages were confirmed, then: {error}") from error


def _confirm(sent: Future[None], limit_s: float) -> None:
    try:
        sent.result(limit_s)
    except FutureTimeout:
        reason = f"the broker did not confirm in {limit_s:g} s: it may be blocked or full, and may or may not have it"
        raise ReceiptTimeout(reason) from None


class _ProcessSenders:
    """The senders of this process. A fork starts without: two processes must not write on one connection."""

    def __init__(self) -> None:
        self._forget()
        atexit.register(self.close)
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._forget)

    def get(self) -> Senders:
        return self._senders

    def close(self) -> None:
        self._senders.close(_CLOSE_TIMEOUT_S)

    def _forget(self) -> None:
        # The lock of the parent's senders may be held by one of its threads, for ever: they are left alone.
        self._senders = Senders()


_of_this_process = _ProcessSenders()


def process_senders() -> Senders:
    """The sending sessions of this process, one for each broker: publishing, dead letters and replays share them."""
    return _of_this_process.get()

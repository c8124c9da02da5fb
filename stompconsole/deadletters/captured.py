"""A message read from a dead-letter queue, as the values its rows are made of.

Owns what is ours and what is foreign: ours carries the ids it got when it died; a message dead-lettered by the broker
itself gets ids that stay the same when it is delivered again, where the broker's message-id does. Touches no row.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from stompconsole.brokers import Dialect
from stompconsole.conf import settings_now
from stompconsole.deadletters import storable
from stompconsole.deadletters.quoting import Quotes
from stompconsole.deadletters.redacting import Parts, Redactor
from stompconsole.delivery import envelope
from stompconsole.delivery.envelope import Envelope

BY_THE_BROKER = "dead-lettered by the broker"
"""The error type of a message that the broker itself gave up on."""

MAX_DOCUMENT = 64 * 1024
"""Bytes of a body up to which its JSON paths can be searched."""

_NAMESPACE = uuid.UUID("5f0c1f5e-6f0b-5d0c-9a3e-2b1d6c1a7e44")
_PLAIN = Dialect()
_SAYS_NOTHING = frozenset({"timestamp", "expires", "destination-type"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Death:
    """One death of a message: the fields a Failure and a DeadLetter share."""

    error_type: str
    error_message: str
    traceback: str
    handler: str
    worker: str
    attempts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Captured:
    """A dead message, storable, redacted. ``origin`` is empty if unknown, ``consumer`` if it doesn't say. One with
    ``due_at`` is not dead: it is to be tried again then.

    ``parts`` is what redaction took out, ``body_size`` how large the body came. ``held`` is the holding queue that has
    the message in place of the row, ``held_on`` the id of its broker.
    """

    dead_letter_id: uuid.UUID
    failure_id: uuid.UUID
    replay_id: int | None
    consumer: str
    origin: str
    destination: str
    message_id: str
    headers: dict[str, str]
    body: bytes
    body_size: int
    parts: Parts
    search_text: str
    document: Any
    death: Death
    first_failed_at: datetime
    failed_at: datetime
    due_at: datetime | None = None
    retry_step: int = 0
    held: str = ""
    held_on: int | None = None


def captured(
    headers: Mapping[str, str], body: bytes, destination: str, dialect: Dialect, now: datetime, *, redactor: Redactor
) -> Captured:
    """What was delivered from the dead-letter queue ``destination``, read as ours or as the broker's."""
    ours = envelope.read(headers)
    origin = _destination(ours.origin if ours else "") or _destination(dialect.origin(headers))
    failed_at = storable.moment(ours.failed_at, now) if ours else now
    dead_letter_id, failure_id = _ids(headers, destination, origin, dialect)
    hidden = redactor.hide(storable.headers(headers), body)
    death = unquoted(_death(ours) if ours else _death_by_broker(hidden.headers, dialect), hidden.quotes)
    message_id = storable.text((ours.message_id if ours else "") or headers.get("message-id", ""), 500)
    return Captured(
        dead_letter_id=dead_letter_id,
        failure_id=failure_id,
        replay_id=replay_id(headers.get(envelope.REPLAY_ID, "")),
        consumer=consumer_of(headers),
        origin=origin,
        destination=storable.text(destination, 500),
        message_id=message_id,
        headers=_stored(unquoted_headers(hidden.headers, hidden.quotes), ours),
        body=hidden.body,
        body_size=len(body),
        parts=hidden.parts,
        search_text=storable.search_text(
            hidden.body,
            settings_now().search_text_bytes,
            death.error_type,
            death.error_message,
            hidden.headers.get("correlation-id", "")[:255],
            message_id,
        ),
        document=storable.document(hidden.body, MAX_DOCUMENT),
        death=death,
        first_failed_at=storable.moment(ours.first_failed_at, now) if ours else now,
        failed_at=failed_at,
        due_at=ours.due_at if ours else None,
        retry_step=storable.whole(ours.retry_step) if ours else 0,
    )


def consumer_of(headers: Mapping[str, str]) -> str:
    """The consumer that a message says it died of; empty if it doesn't say."""
    return storable.text(headers.get(envelope.CONSUMER, ""), 50)


def unquoted(death: Death, quotes: Quotes) -> Death:
    """A death that quotes none of it."""
    if not quotes:
        return death
    message, traceback = quotes.taken_out_of(death.error_message), quotes.taken_out_of(death.traceback)
    return replace(death, error_message=message, traceback=traceback)


def unquoted_headers(headers: Mapping[str, str], quotes: Quotes) -> dict[str, str]:
    """Headers that quote none of it: those of ours that say why it died."""
    if not quotes:
        return dict(headers)
    # They are not sent again: nothing of them needs to be put back.
    why = (envelope.ERROR_MESSAGE, envelope.TRACEBACK)
    return {name: quotes.taken_out_of(value) if name in why else value for name, value in headers.items()}


def _stored(headers: dict[str, str], ours: Envelope | None) -> dict[str, str]:
    """Less the traceback, often larger than all else of the message: it has columns of its own."""
    if ours is not None:
        headers.pop(envelope.TRACEBACK, None)
    return headers


def replay_id(text: str) -> int | None:
    """The replay a header names; None for none and for nonsense."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None


def _death(ours: Envelope) -> Death:
    return Death(
        error_type=storable.text(ours.error_type, 255).strip() or "unknown error",
        error_message=storable.text(ours.error_message),
        traceback=storable.text(ours.traceback),
        handler=storable.text(ours.handler, 500),
        worker=storable.text(ours.worker, 300),
        attempts=storable.whole(ours.attempts),
    )


def _death_by_broker(headers: Mapping[str, str], dialect: Dialect) -> Death:
    # What this broker takes out of a re-SEND beyond plain STOMP is what it has put in.
    made = _PLAIN.resend_headers(headers).keys() - dialect.resend_headers(headers).keys() - _SAYS_NOTHING
    reasons = [f"{name}: {value}" for name, value in headers.items() if name in made and value not in {"", "0"}]
    return Death(
        error_type=BY_THE_BROKER,
        error_message=storable.text(", ".join(reasons)) or "The broker does not say why.",
        traceback="",
        handler="",
        worker="",
        attempts=0,
    )


def _ids(headers: Mapping[str, str], destination: str, origin: str, dialect: Dialect) -> tuple[uuid.UUID, uuid.UUID]:
    """The ids of a dead letter and of its failure: those it got when it died, else such as it gets each time."""
    dead_letter_id, failure_id = _uuid(headers.get(envelope.DEAD_LETTER_ID)), _uuid(headers.get(envelope.FAILURE_ID))
    if dead_letter_id is not None and failure_id is not None:
        return dead_letter_id, failure_id
    foreign = _foreign_id(headers, destination, origin, dialect)
    return dead_letter_id or foreign, uuid.uuid5(foreign, "failure")


def _foreign_id(headers: Mapping[str, str], destination: str, origin: str, dialect: Dialect) -> uuid.UUID:
    message_id = dialect.stable_id(headers)
    if not message_id:
        return uuid.uuid4()
    # With the origin: two copies of a topic's message share a message-id, and may share a dead-letter queue.
    return uuid.uuid5(_NAMESPACE, "\n".join(storable.text(part) for part in (destination, origin, message_id)))


def _uuid(text: str | None) -> uuid.UUID | None:
    if not text:
        return None
    try:
        return uuid.UUID(text)
    except ValueError:
        return uuid.uuid5(_NAMESPACE, storable.text(text))


def _destination(text: str) -> str:
    # Cut short it would name another queue.
    return storable.text(text) if len(text) <= 500 else ""

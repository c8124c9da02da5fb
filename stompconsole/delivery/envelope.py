"""Our headers on dead letters and replays: what is written, what is read back, what is stripped.

Headers are a small place (ActiveMQ ends a connection at 10 KB a line, RabbitMQ 4.3 at 100 headers), so the
message and the traceback are trimmed, the traceback to its innermost frames.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from stompconsole.brokers.dialect import Dialect

PREFIX = "stompconsole-"
DEAD_LETTER_ID = PREFIX + "dead-letter-id"
FAILURE_ID = PREFIX + "failure-id"
REPLAY_ID = PREFIX + "replay-id"
CONSUMER = PREFIX + "consumer"
HANDLER = PREFIX + "handler"
ORIGIN = PREFIX + "origin"
ERROR_TYPE = PREFIX + "error-type"
ERROR_MESSAGE = PREFIX + "error-message"
TRACEBACK = PREFIX + "traceback"
ATTEMPTS = PREFIX + "attempts"
FIRST_FAILED_AT = PREFIX + "first-failed-at"
FAILED_AT = PREFIX + "failed-at"
WORKER = PREFIX + "worker"
MESSAGE_ID = PREFIX + "message-id"
DUE_AT = PREFIX + "due-at"
RETRY_STEP = PREFIX + "retry-step"

HELD_COPY = PREFIX + "held-copy"
HELD_AT = PREFIX + "held-at"
HELD_PASS = PREFIX + "held-pass"
"""On messages of holding queues: which death they are of, since when they wait, which pass sent them to the end."""
SENT_BACK = PREFIX + "sent-back"
"""Which errand moved it from the broker's dead-letter queue to where it came from: should it die again it is not moved
in circles."""

MAX_MESSAGE_BYTES = 1_000
MAX_TRACEBACK_BYTES = 4_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """Why and where a message died, as its headers carry it. Times are aware, UTC.

    One with ``due_at`` is not dead: it is to be tried again then, ``retry_step`` of its consumer's long steps used.
    """

    dead_letter_id: str
    failure_id: str
    consumer: str
    handler: str
    origin: str
    error_type: str
    error_message: str
    traceback: str
    attempts: int
    first_failed_at: datetime
    failed_at: datetime
    worker: str
    message_id: str
    replay_id: str = ""
    due_at: datetime | None = None
    retry_step: int = 0
    sent_back: str = ""

    def headers(self) -> dict[str, str]:
        """As header names and values, trimmed to what every broker takes."""
        fields = {
            DEAD_LETTER_ID: self.dead_letter_id,
            FAILURE_ID: self.failure_id,
            CONSUMER: self.consumer,
            HANDLER: self.handler,
            ORIGIN: self.origin,
            ERROR_TYPE: _first_bytes(self.error_type, 255),
            ERROR_MESSAGE: _first_bytes(self.error_message, MAX_MESSAGE_BYTES),
            TRACEBACK: _last_bytes(self.traceback, MAX_TRACEBACK_BYTES),
            ATTEMPTS: str(self.attempts),
            FIRST_FAILED_AT: self.first_failed_at.isoformat(),
            FAILED_AT: self.failed_at.isoformat(),
            WORKER: _first_bytes(self.worker, 255),
            MESSAGE_ID: _first_bytes(self.message_id, 500),
            REPLAY_ID: self.replay_id,
            DUE_AT: self.due_at.isoformat() if self.due_at else "",
            RETRY_STEP: str(self.retry_step) if self.due_at else "",
            SENT_BACK: _first_bytes(self.sent_back, 50),
        }
        return {name: value for name, value in fields.items() if value}


def read(headers: Mapping[str, str]) -> Envelope | None:
    """The envelope of a captured message, or None when it is not one of ours."""
    if not headers.get(DEAD_LETTER_ID) or not headers.get(FAILURE_ID):
        return None
    failed_at = _time(headers.get(FAILED_AT, ""))
    return Envelope(
        dead_letter_id=headers[DEAD_LETTER_ID],
        failure_id=headers[FAILURE_ID],
        consumer=headers.get(CONSUMER, ""),
        handler=headers.get(HANDLER, ""),
        origin=headers.get(ORIGIN, ""),
        error_type=headers.get(ERROR_TYPE, ""),
        error_message=headers.get(ERROR_MESSAGE, ""),
        traceback=headers.get(TRACEBACK, ""),
        attempts=_int(headers.get(ATTEMPTS, "")),
        first_failed_at=_time(headers.get(FIRST_FAILED_AT, ""), failed_at),
        failed_at=failed_at,
        worker=headers.get(WORKER, ""),
        message_id=headers.get(MESSAGE_ID, ""),
        replay_id=headers.get(REPLAY_ID, ""),
        due_at=_due(headers.get(DUE_AT, "")),
        retry_step=_int(headers.get(RETRY_STEP, "")),
        sent_back=headers.get(SENT_BACK, ""),
    )


def replay_headers(
    headers: Mapping[str, str], dialect: Dialect, *, dead_letter_id: str, replay_id: str, consumer: str = ""
) -> dict[str, str]:
    """Headers of the SEND that replays a captured message: the team's own, and who it is to us.

    ``consumer`` is named where others get the message as well: see ``replay_for``.
    """
    team = dialect.resend_headers(without_ours(headers))
    named = {CONSUMER: consumer} if consumer else {}
    return {**team, DEAD_LETTER_ID: dead_letter_id, REPLAY_ID: replay_id, **named}


def replay_for(headers: Mapping[str, str], consumer: str) -> tuple[str, str]:
    """The dead letter and the replay that a message is of, for this consumer; empty texts if it is none.

    Every subscriber of a topic gets its replays: what the others make of one is not the outcome of the dead letter.
    """
    if headers.get(CONSUMER, consumer) != consumer:
        return "", ""
    return headers.get(DEAD_LETTER_ID, ""), headers.get(REPLAY_ID, "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Earlier:
    """What a message that was parked went through before: it goes on from there when it is sent back."""

    attempts: int
    retry_step: int
    first_failed_at: datetime

    def headers(self) -> dict[str, str]:
        """As headers of the SEND that brings it back."""
        return {
            ATTEMPTS: str(self.attempts),
            RETRY_STEP: str(self.retry_step),
            FIRST_FAILED_AT: self.first_failed_at.isoformat(),
        }


def earlier(headers: Mapping[str, str], consumer: str) -> Earlier | None:
    """What this message went through before, None for one that begins afresh: a new one, or an operator's replay."""
    if RETRY_STEP not in headers or not all(replay_for(headers, consumer)):
        return None
    return Earlier(
        attempts=_int(headers.get(ATTEMPTS, "")),
        retry_step=_int(headers[RETRY_STEP]),
        first_failed_at=_time(headers.get(FIRST_FAILED_AT, "")),
    )


def without_ours(headers: Mapping[str, str]) -> dict[str, str]:
    """The headers less every one of ours."""
    return {name: value for name, value in headers.items() if not name.startswith(PREFIX)}


def _first_bytes(text: str, limit: int) -> str:
    data = _sendable(text)
    return data.decode() if len(data) <= limit else data[: limit - 3].decode(errors="ignore") + "…"


def _last_bytes(text: str, limit: int) -> str:
    data = _sendable(text)
    return data.decode() if len(data) <= limit else "…" + data[-(limit - 3) :].decode(errors="ignore")


def _sendable(text: str) -> bytes:
    # Errors quote bodies, and JSON can hold a NUL and half a character: a header can't.
    return text.replace("\0", "\\0").encode(errors="backslashreplace")


def _int(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else 0


def _due(text: str) -> datetime | None:
    # One that can't be read is dead: a person sees it there, while "now" would have it go round.
    parsed = _parsed(text)
    return _aware(parsed) if parsed is not None else None


def _time(text: str, default: datetime | None = None) -> datetime:
    parsed = _parsed(text)
    return _aware(parsed) if parsed is not None else default or datetime.now(UTC)


def _parsed(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


def _aware(time: datetime) -> datetime:
    return time if time.tzinfo else time.replace(tzinfo=UTC)

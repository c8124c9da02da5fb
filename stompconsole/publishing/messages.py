"""A message that is to be published, as a value: its body encoded, its headers cleaned, its correlation id found.

Owns what a message looks like before a broker's dialect adds its part. Refuses what no frame can carry.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from email.message import Message as MimeHeaders
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder

from stompconsole import correlation
from stompconsole.brokers import Dialect
from stompconsole.delivery import envelope
from stompconsole.errors import ConfigurationError
from stompconsole.transport import frames

JSON = "application/json;charset=utf-8"
BYTES = "application/octet-stream"

_PLAIN = Dialect()


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One SEND, but for what the broker's dialect adds. ``unique_id``, where there is one, names it over several
    tries, for a broker that drops what it has already."""

    destination: str
    headers: dict[str, str]
    body: bytes
    persistent: bool = True
    unique_id: str = ""

    @property
    def correlation_id(self) -> str:
        return self.headers[correlation.HEADER]

    def frame_headers(self, dialect: Dialect) -> dict[str, str]:
        """Its headers as this broker wants them."""
        added = dialect.send_headers(self.destination)
        if not self.persistent:
            # Left out, never false: RabbitMQ takes persistent:false for a queue that goes with its producer.
            added.pop("persistent", None)
        if self.unique_id and dialect.duplicate_id_header:
            added[dialect.duplicate_id_header] = self.unique_id
        return {**self.headers, **added}


def message(destination: str, body: Any, headers: Mapping[str, Any]) -> Message:
    """What ``publish`` sends. Raises ConfigurationError for what can't be sent, TypeError for what is no JSON."""
    given = team_headers(headers)
    data, content_type = _encoded(body, given.get("content-type", ""))
    return checked(Message(destination=destination, headers={"content-type": content_type, **given}, body=data))


def team_headers(headers: Mapping[str, Any]) -> dict[str, str]:
    """Headers as texts, without those that brokers or the console reserve, with a correlation id."""
    given = _PLAIN.resend_headers(envelope.without_ours(texts(headers)))
    given[correlation.HEADER] = given.get(correlation.HEADER) or correlation.current_or_new()
    return given


def texts(headers: Mapping[str, Any]) -> dict[str, str]:
    """Names and values as texts; a value of None is no header."""
    return {str(name): _text(value) for name, value in headers.items() if value is not None}


def checked(message: Message) -> Message:
    """The message with its content-length. Raises ConfigurationError for what no frame can carry."""
    if not message.destination:
        raise ConfigurationError("the destination is empty: give one as the broker names it, such as /queue/orders")
    # content-length as stomp.py and django-stomp send it: the receiver of a Java broker gets bytes, not text.
    message.headers["content-length"] = str(len(message.body))
    # Encoded once for its checks: in a transaction, what can't be sent must fail here and not after the commit.
    frames.encode("SEND", {**message.headers, "destination": message.destination})
    return message


def as_json(body: Any) -> bytes:
    """JSON as Django writes it: dates, decimals and UUIDs become texts."""
    return json.dumps(body, cls=DjangoJSONEncoder).encode()


def _encoded(body: Any, content_type: str) -> tuple[bytes, str]:
    match body:
        case bytes() | bytearray() | memoryview():
            return bytes(body), BYTES
        case str() if content_type and not _is_json(content_type):
            return _in_charset(body, content_type), content_type
        case _:
            return as_json(body), JSON


def _is_json(content_type: str) -> bool:
    mime = content_type.partition(";")[0].strip().lower()
    return mime.endswith(("/json", "+json"))


def _in_charset(body: str, content_type: str) -> bytes:
    fields = MimeHeaders()
    fields["content-type"] = content_type
    charset = str(fields.get_param("charset") or "utf-8")
    try:
        return body.encode(charset)
    except (LookupError, UnicodeEncodeError) as error:
        reason = f"the body can't be written in the charset of the content-type {content_type!r}: {error}"
        raise ConfigurationError(reason) from None


def _text(value: Any) -> str:
    # Python's "True" is no true to ActiveMQ.
    return str(value).lower() if isinstance(value, bool) else str(value)

"""Bodies into what ``payload.body`` shows."""

from __future__ import annotations

import json
from collections.abc import Mapping
from email.message import Message
from typing import Any

from stompconsole.delivery.specs import Codec

JSON_TYPES = ("application/json", "text/json")


class UnreadableBody(Exception):
    """Raised when a body is not what its consumer expects; never leaves delivery."""


def decode(body: bytes, headers: Mapping[str, str], codec: Codec) -> Any:
    """The body as the consumer's codec says. Raises UnreadableBody with what is wrong and where."""
    match codec:
        case Codec.JSON:
            return _json(body)
        case Codec.TEXT:
            return _text(body, headers)
        case Codec.BYTES:
            return body
        case Codec.BY_CONTENT_TYPE:
            return _by_content_type(body, headers)


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except RecursionError:
        raise UnreadableBody("the body is JSON nested too deeply to be read") from None
    except ValueError as error:
        raise UnreadableBody(f"the body is not JSON: {error}") from None


def _text(body: bytes, headers: Mapping[str, str]) -> str:
    charset = _content_type(headers)[1]
    try:
        return body.decode(charset)
    except LookupError:
        raise UnreadableBody(f"the content-type names an unknown charset {charset!r}") from None
    except UnicodeDecodeError as error:
        raise UnreadableBody(f"the body is not {charset} text: {error}") from None


def _by_content_type(body: bytes, headers: Mapping[str, str]) -> Any:
    mime, _ = _content_type(headers)
    if mime in JSON_TYPES or mime.endswith("+json"):
        return _json(body)
    if mime.startswith("text/"):
        return _text(body, headers)
    return body


def _content_type(headers: Mapping[str, str]) -> tuple[str, str]:
    message = Message()
    message["content-type"] = headers.get("content-type", "application/octet-stream")
    return message.get_content_type(), str(message.get_param("charset") or "utf-8")

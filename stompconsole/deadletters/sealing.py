"""What redaction took out of a message, encrypted, and put back into it when it is sent.

Owns the seal: the one form in which a redacted value is stored. It is opened by the worker that sends a replay, and by
the command that redacts stored rows; never for a page, an export or a log. A marker is put back only where it was taken
out: moved into a part that no rule names, its value would be stored in clear when the message fails again.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any, Protocol

from django.db.models import Q

from stompconsole.conf import settings_now
from stompconsole.conf.redact import WrongRuleError
from stompconsole.deadletters import json_spans, quoting
from stompconsole.deadletters.quoting import Quotes
from stompconsole.deadletters.redacting import ENOUGH, WHOLE, Parts, Redactor, markers_in, redactor
from stompconsole.errors import ConfigurationError
from stompconsole.models import Consumer, DeadLetter
from stompconsole.models.secrets import decrypt_bytes, encrypt_bytes

LOST = "Its redacted parts are not here: it was imported without them. Edit it, and put values in their places."

_QUOTED = re.compile(rb'"(\[redacted \d{1,9}\])"')
_LENGTH = 4

Message = tuple[dict[str, str], bytes]
"""Headers and body."""


def seal(parts: Parts) -> bytes | None:
    """The seal of what was taken out; None for nothing."""
    if not parts:
        return None
    known = {"headers": parts.headers, "body": parts.body, "has_whole": parts.whole is not None, "lost": parts.lost}
    written = json.dumps(known).encode()
    # The body as it is: it may be large, and need not be text.
    return encrypt_bytes(len(written).to_bytes(_LENGTH, "big") + written + (parts.whole or b""))


def opened(sealed: bytes | memoryview | None) -> Parts:
    """What a seal holds. Raises ConfigurationError when no key fits."""
    if sealed is None:
        return Parts()
    data = decrypt_bytes(bytes(sealed))
    end = _LENGTH + int.from_bytes(data[:_LENGTH], "big")
    known = json.loads(data[_LENGTH:end])
    whole = data[end:] if known["has_whole"] else None
    return Parts(headers=known["headers"], body=known["body"], whole=whole, lost=known["lost"])


class Sealable(Protocol):
    """A message as it is stored; ``sealed`` is what was taken out of it."""

    @property
    def headers(self) -> Any: ...
    @property
    def body(self) -> bytes | memoryview: ...
    @property
    def sealed(self) -> bytes | memoryview | None: ...


def as_it_came(letter: Sealable, edit: Sealable | None) -> Message:
    """The message to be sent, redacted parts put back. Raises ConfigurationError that says why it can't be."""
    message = edit or letter
    # What was taken out of the change first: it may hold markers of the letter.
    seals = [each.sealed for each in (edit, letter) if each is not None and each.sealed is not None]
    found: Message = dict(message.headers), bytes(message.body)
    return put_back(*found, *map(opened, seals)) if seals else found


def put_back(headers: dict[str, str], body: bytes, *parts: Parts) -> Message:
    """A message with what was taken out in its places again, in the order given."""
    for each in parts:
        headers = {name: each.headers.get(value, value) for name, value in headers.items()}
        body = each.whole if body in WHOLE and each.whole is not None else in_places(body, each)
    if any(each.lost for each in parts) and (body in WHOLE or markers_in(headers, body)):
        raise ConfigurationError(LOST)
    return headers, body


def in_places(text: bytes, parts: Parts) -> bytes:
    """The text of a body with what was taken out of it."""
    known = {marker.encode(): value.encode() for marker, value in parts.body.items()}
    return _QUOTED.sub(lambda found: known.get(found[1], found[0]), text) if known else text


def redactor_of(consumer: Consumer | None) -> Redactor:
    """What the rules of the settings and of a consumer hide. Raises WrongRuleError."""
    return redactor(consumer.redact.splitlines() if consumer is not None else ())


def quotes_of(letter: DeadLetter) -> Quotes:
    """What texts about a dead letter must not quote: what was taken out of it, and what rules take out now.

    Raises ConfigurationError when that can't be told.
    """
    try:
        hidden = redactor_of(letter.consumer).hide(*as_it_came(letter, None))
    except WrongRuleError as error:
        raise ConfigurationError(str(error)) from None
    return Quotes([*_words_of(opened(letter.sealed)), *_words_of(hidden.parts)])


def _words_of(parts: Parts) -> Iterator[str]:
    for value in parts.headers.values():
        yield from quoting.words_of(value)
    for stretch in parts.body.values():
        yield from json_spans.leaves(json.loads(stretch))
    if parts.whole is not None:
        yield from quoting.told_apart_roughly(parts.whole[:ENOUGH].decode(errors="replace"))


class Redactors:
    """What hides parts of the dead letters of one queue: the rules of its consumer, and of the one a message names.

    For one batch: what it has read stays so. ``broker_id`` is the broker of the queue's consumer; None if that is
    deleted.
    """

    def __init__(self, consumer_id: int | None, names: Collection[str]) -> None:
        rows = {each.name: each for each in Consumer.objects.filter(Q(pk=consumer_id) | Q(name__in=names))}
        self._own = next((row for row in rows.values() if row.pk == consumer_id), None)
        self._rows = rows
        self._found: dict[str, Redactor] = {}
        self._stored: dict[str, bool] = {}
        self.broker_id = self._own.broker_id if self._own is not None else None

    def of(self, name: str) -> Redactor:
        """The redactor for a message that names this consumer. Raises WrongRuleError."""
        if name not in self._found:
            self._found[name] = redactor(*(row.redact.splitlines() for row in self._concerned(name)))
        return self._found[name]

    def stores_body(self, name: str) -> bool:
        """Whether the body of a message that names this consumer may be stored."""
        if name not in self._stored:
            self._stored[name] = settings_now().store_bodies and all(row.store_body for row in self._concerned(name))
        return self._stored[name]

    def _concerned(self, name: str) -> list[Consumer]:
        return [row for row in (self._own, self._rows.get(name)) if row is not None]


def of_edit(letter: DeadLetter, headers: Mapping[str, str], body: bytes) -> dict[str, Any]:
    """The fields of a changed message: what was typed where a rule holds is sealed, the letter's markers stay."""
    kept = shown_markers(letter)
    hidden = redactor_of(letter.consumer).hide(headers, body, kept=kept)
    return {"headers": hidden.headers, "body": hidden.body, "sealed": seal(hidden.parts)}


def shown_markers(letter: DeadLetter) -> frozenset[str]:
    """The markers of a redacted dead letter; none of one that is not."""
    return markers_in(letter.headers, bytes(letter.body)) if letter.sealed is not None else frozenset()


def misplaced(letter: DeadLetter, headers: Mapping[str, str], body: bytes) -> str:
    """What is wrong with where a changed message has the letter's markers, in words; empty when nothing is."""
    known = shown_markers(letter)
    if not known or not markers_in(headers, body) & known:
        return ""
    before = set(_places(letter.headers, bytes(letter.body), known))
    for text, place in _places(headers, body, known):
        if (text, place) not in before:
            marker = next(each for each in known if each in text)
            return f"{marker} can only stay where it was: put a value of your own there, or take it out."
    return ""


def _places(headers: Mapping[str, str], body: bytes, known: frozenset[str]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """The texts that hold a marker, and where they stand; of lists any index is the same place."""
    for name, value in headers.items():
        if any(marker in value for marker in known):
            yield value, ("header", name.lower())
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        document = body.decode(errors="replace")
    yield from ((text, place) for text, place in _texts_in(document, ("body",)) if any(each in text for each in known))


def _texts_in(value: Any, place: tuple[str, ...]) -> Iterator[tuple[str, tuple[str, ...]]]:
    match value:
        case str():
            yield value, place
        case dict():
            for key, member in value.items():
                yield key, (*place, "name of a member")
                yield from _texts_in(member, (*place, f".{key}"))
        case list():
            for member in value:
                yield from _texts_in(member, (*place, "[]"))

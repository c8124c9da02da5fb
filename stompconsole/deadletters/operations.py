"""Edits of many dead letters at once: a header set or removed, a value at a JSON path put in or taken out.

Pure: headers and body in, headers and body out, or why not. Owns how operations are read, kept as JSON and told. A
body that no operation changes stays the bytes it was.
"""

from __future__ import annotations

import enum
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from stompconsole.deadletters import json_text, sendable
from stompconsole.deadletters.json_text import Unchangeable

MAX_JSON_BYTES = 4 * 2**20
"""Of a larger body only headers can be changed: reading its JSON takes many times its size."""

MAX_OPERATIONS = 20
MAX_VALUE_CHARS = 8_000


class Act(enum.StrEnum):
    """What an operation does; the value is what forms and rows say."""

    SET_HEADER = "set header"
    REMOVE_HEADER = "remove header"
    SET_JSON = "set json"
    REMOVE_JSON = "remove json"

    @property
    def of_header(self) -> bool:
        """Whether it is about a header; else it is about the body."""
        return self in {Act.SET_HEADER, Act.REMOVE_HEADER}

    @property
    def sets(self) -> bool:
        """Whether it takes a value."""
        return self in {Act.SET_HEADER, Act.SET_JSON}

    @property
    def label(self) -> str:
        """As on a page."""
        return self.value.replace("json", "JSON path").capitalize().replace("json", "JSON")


class When(enum.StrEnum):
    """Of which messages."""

    ALWAYS = "always"
    MISSING = "missing"
    EQUALS = "equals"


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """``target`` is the name of a header or a JSON path; ``value`` and ``expected`` are a header's text or JSON."""

    act: Act
    target: str
    value: str = ""
    when: When = When.ALWAYS
    expected: str = ""

    @property
    def name(self) -> str:
        """In words without values, for records that must not hold any: they may be secrets."""
        when = {When.ALWAYS: "", When.MISSING: " where it is missing", When.EQUALS: " where it has a certain value"}
        return f"{self.act.value.replace('json', 'JSON')} {self.target}{when[self.when]}"

    def __str__(self) -> str:
        to = f" to {self.value}" if self.act.sets else ""
        when = {When.ALWAYS: "", When.MISSING: " where it is missing", When.EQUALS: f" where it is {self.expected}"}
        return f"{self.act.value.replace('json', 'JSON')} {self.target}{to}{when[self.when]}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """All headers, locked ones included, and the body."""

    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why a message can't be edited so."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadOperations:
    """Operations as they were typed. With any problem they are not to be used."""

    operations: tuple[Operation, ...] = ()
    problems: tuple[str, ...] = ()


def carry_out(operations: Sequence[Operation], message: Message) -> Message | Refusal:
    """The message with all operations done, one after the other; equal to ``message`` when none has changed it."""
    try:
        done = message
        for operation in operations:
            done = _with_header(operation, done) if operation.act.of_header else _with_body(operation, done)
        _check(message, done)
    except Unchangeable as error:
        return Refusal(reason=f"It can't be edited: {error}.")
    return done


def needs_body(operations: Iterable[Operation]) -> bool:
    """Whether the body has to be known to say what becomes of a message."""
    return any(not operation.act.of_header or operation.target == "content-type" for operation in operations)


def _with_header(operation: Operation, message: Message) -> Message:
    before = message.headers.get(operation.target)
    if not _applies(operation, before, before == operation.expected):
        return message
    others = {name: value for name, value in message.headers.items() if name != operation.target}
    if operation.act is Act.REMOVE_HEADER:
        return replace(message, headers=others)
    # In its old place where it had one.
    return replace(message, headers={**message.headers, operation.target: operation.value})


def _with_body(operation: Operation, message: Message) -> Message:
    text, path = _text(message.body), json_text.steps(operation.target)
    before = json_text.look(text, path)
    if not _applies(operation, before, before is not None and json_text.same(before, operation.expected)):
        return message
    after = json_text.put(text, path, operation.value) if operation.act.sets else json_text.take_out(text, path)
    return replace(message, body=after.encode())


def _applies(operation: Operation, before: str | None, equal: bool) -> bool:  # noqa: FBT001 - what was found out
    match operation.when:
        case When.ALWAYS:
            return before is not None or operation.act.sets
        case When.MISSING:
            return before is None and operation.act.sets
        case When.EQUALS:
            return equal


def _text(body: bytes) -> str:
    if len(body) > MAX_JSON_BYTES:
        raise Unchangeable(f"its body is larger than {MAX_JSON_BYTES // 2**20} MB")
    try:
        return body.decode()
    except UnicodeDecodeError:
        raise Unchangeable("its body is no UTF-8 text, so no JSON") from None


def _check(before: Message, after: Message) -> None:
    if before.headers == after.headers:
        return
    if told := sendable.problem(sendable.editable(after.headers)):
        raise Unchangeable(told.rstrip("."))
    kind = _content_type(after)
    if kind != _content_type(before) and kind.endswith("json"):
        json_text.check(_text(after.body))


def _content_type(message: Message) -> str:
    return message.headers.get("content-type", "").partition(";")[0].strip().lower()


def read(rows: Iterable[Mapping[str, Any]]) -> ReadOperations:
    """From rows of ``act``, ``target``, ``value``, ``when`` and ``expected``; a row without a target is none."""
    wanted = [row for row in rows if str(row.get("target", "")).strip()]
    if len(wanted) > MAX_OPERATIONS:
        return ReadOperations(problems=(f"{len(wanted)} edits are too many: at most {MAX_OPERATIONS}.",))
    found: list[Operation] = []
    problems: list[str] = []
    for row in wanted:
        try:
            operation = _operation(row)
        except ValueError as error:
            problems.append(f"{error}.")
            continue
        found.append(operation)
        problems += [told] if (told := _problem(operation)) else []
    return ReadOperations(operations=tuple(found), problems=tuple(problems))


def read_json(text: str) -> ReadOperations:
    """From a list of such rows as JSON, as ``written`` makes it; empty text is none."""
    try:
        rows = json.loads(text or "[]")
    except (ValueError, RecursionError):
        rows = None
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        return ReadOperations(problems=("The edits can't be read: choose them again.",))
    return read(rows)


def written(operations: Iterable[Operation]) -> list[dict[str, str]]:
    """As a row keeps them."""
    return [asdict(operation) for operation in operations]


def kept(rows: Iterable[Mapping[str, str]]) -> tuple[Operation, ...]:
    """What ``written`` wrote."""
    return tuple(map(_operation, rows))


def _operation(row: Mapping[str, Any]) -> Operation:
    texts = {name: str(row.get(name, "")).replace("\0", "") for name in ("act", "target", "value", "when", "expected")}
    target = texts["target"].strip()
    if texts["act"] not in set(Act) or (texts["when"] or When.ALWAYS) not in set(When):
        raise ValueError(f"{texts['act']!r} {texts['when']!r} is nothing that can be done to {target}")
    act = Act(texts["act"])
    return Operation(
        act=act,
        target=target,
        value=_value(act, texts["value"]) if act.sets else "",
        when=When(texts["when"] or When.ALWAYS),
        expected=_value(act, texts["expected"]),
    )


def _value(act: Act, text: str) -> str:
    return text if act.of_header else text.strip()


def _problem(operation: Operation) -> str:
    if len(operation.value) > MAX_VALUE_CHARS or len(operation.expected) > MAX_VALUE_CHARS:
        return f"The value for {operation.target} is longer than {MAX_VALUE_CHARS:,} characters."
    if operation.act.of_header:
        return sendable.problem({operation.target: operation.value})
    return _problem_of_json(operation)


def _problem_of_json(operation: Operation) -> str:
    if not json_text.steps(operation.target):
        return f"{operation.target} is no path: write order.lines[0].sku, at most {json_text.MOST_STEPS} steps deep."
    if operation.act.sets and (told := _of_value(operation.value)):
        return f"The value for {operation.target} {told}"
    if operation.when is When.EQUALS and (told := _of_value(operation.expected)):
        return f"What {operation.target} should be equal to {told}"
    if operation.when is When.MISSING and not operation.act.sets:
        return f"{operation.target} can't be taken out where it is missing."
    return ""


def _of_value(text: str) -> str:
    try:
        json.loads(text, parse_int=str, parse_float=str, parse_constant=_refuse)
    except (ValueError, RecursionError):
        shown = text if len(text) < 40 else f"{text[:40]}…"
        return f'is {shown or "empty"}, which is no JSON: write text in quotes ("A-17"), numbers without.'
    return ""


def _refuse(constant: str) -> None:
    raise ValueError(constant)

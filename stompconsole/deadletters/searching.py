"""The search box: words, and terms such as ``header:x=1``, ``json:order.id=4711``, ``error:timeout``, ``body:A-17``.

Owns the grammar and what each term asks of the rows. A term that can't be read finds nothing and is told: a slip must
never widen what is replayed or discarded.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connections
from django.db.models import Q, QuerySet, Value
from django.db.models.fields.json import KeyTransform
from django.db.models.functions import StrIndex, Substr

from stompconsole.conf import settings_now
from stompconsole.deadletters.json_text import MOST_STEPS, steps
from stompconsole.deadletters.storable import SEPARATOR
from stompconsole.models import DeadLetter, postgres

SCANS_TEXT = (
    "Text is searched row by row here, which takes long among many: there is no index for it."
    " It is made by: manage.py deadletters index"
)
SCANS_HEADER = "There is no index for that header: it is searched row by row, which takes long among many."
NO_BODIES = 'Bodies are not stored (STOMPCONSOLE["STORE_BODIES"]): body: and json: find none captured since.'
TERMS = ("header", "json", "error", "body", "id", "attempts", "replayed")
HELP = "words, or terms: header:name=value, json:order.id=4711, error:…, body:…, id:…, attempts:>=3, replayed:yes"

_TERM = re.compile(rf'(?<!\S)(?P<name>{"|".join(TERMS)}):(?P<value>(?:"[^"]*"|[^\s"])+)')
_ATTEMPTS = re.compile(r"(?P<compare>>=|<=|>|<|=|)(?P<number>\d{1,9})")
_LOOKUPS = {">=": "gte", "<=": "lte", ">": "gt", "<": "lt", "=": "exact", "": "exact"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """One term: ``name`` of ``TERMS``, or ``words`` for what stands free."""

    name: str
    value: str


def parse(text: str) -> tuple[Term, ...]:
    """The terms of a search box, words last. Any text has a meaning: an unknown term is words."""
    found = tuple(Term(name=match["name"], value=match["value"].replace('"', "")) for match in _TERM.finditer(text))
    words = " ".join(_TERM.sub(" ", text).split())
    return (*found, Term(name="words", value=words)) if words else found


def problems(text: str) -> tuple[str, ...]:
    """What can't be read in a search, a sentence each."""
    return tuple(told for term in parse(text) if (told := _problem(term)))


def told_of(text: str) -> tuple[str, ...]:
    """What is to be known of how a search goes here, a sentence each."""
    terms = parse(text)
    names = {term.name for term in terms}
    by_header = any(_names_unindexed(term) for term in terms) and _indexes_json(DeadLetter.objects.all())
    by_text = names & {"words", "error", "body"} and postgres.scans_text(connections[DeadLetter.objects.db])
    in_bodies = names & {"body", "json"} and not settings_now().store_bodies
    told = {SCANS_TEXT: by_text, SCANS_HEADER: by_header, NO_BODIES: in_bodies}
    return tuple(sentence for sentence, holds in told.items() if holds)


def search(rows: QuerySet[DeadLetter], text: str) -> QuerySet[DeadLetter]:
    """Those of ``rows`` that every term finds; none when one can't be read."""
    for number, term in enumerate(parse(text)):
        if _problem(term):
            return rows.none()
        rows = _narrowed(rows, term, f"term_{number}")
    return rows


def _problem(term: Term) -> str:
    match term.name:
        case "header" if not term.value.partition("=")[0]:
            return f"header:{term.value} names no header: write header:name=value."
        case "json" if not steps(term.value.partition("=")[0]):
            return f"json:{term.value} names no path: write json:order.id=4711, at most {MOST_STEPS} steps deep."
        case "attempts" if not _ATTEMPTS.fullmatch(term.value):
            return f"attempts:{term.value} is no number: write attempts:3 or attempts:>=3."
        case "replayed" if term.value not in {"yes", "no"} and not _ATTEMPTS.fullmatch(term.value):
            return f"replayed:{term.value} can't be read: write replayed:yes, replayed:no or replayed:>=2."
        case "id" if _uuid(term.value) is None and not term.value:
            return "id: is empty."
        case _:
            return ""


def _narrowed(rows: QuerySet[DeadLetter], term: Term, alias: str) -> QuerySet[DeadLetter]:
    match term.name:
        case "header":
            return _with_header(rows, term.value, alias)
        case "json":
            return _with_path(rows, term.value, alias)
        case "body":
            body = Substr("search_text", 1, StrIndex("search_text", Value(SEPARATOR)))
            return rows.alias(**{alias: body}).filter(_mentions(term.value), **{f"{alias}__icontains": term.value})
        case name:
            return rows.filter(_CONDITIONS[name](term.value))


def _mentions(text: str) -> Q:
    # One column holds all that is searched, so that one index serves.
    return Q(search_text__icontains=text)


def _words(text: str) -> Q:
    pk = _uuid(text)
    return _mentions(text) if pk is None else _mentions(text) | Q(pk=pk)


def _identified(text: str) -> Q:
    found = Q(message_id=text) | Q(correlation_id=text)
    pk = _uuid(text)
    return found if pk is None else found | Q(pk=pk)


def _in_error(text: str) -> Q:
    return _mentions(text) & (Q(error_type__icontains=text) | Q(error_message__icontains=text))


def _attempted(text: str) -> Q:
    return _compared("attempts", text)


def _replayed(text: str) -> Q:
    return _compared("replays", {"yes": ">=1", "no": "0"}.get(text, text))


def _compared(field: str, text: str) -> Q:
    match = _ATTEMPTS.fullmatch(text)
    assert match is not None, "checked before"
    return Q(**{f"{field}__{_LOOKUPS[match['compare']]}": int(match["number"])})


_CONDITIONS: dict[str, Callable[[str], Q]] = {
    "words": _words,
    "error": _in_error,
    "id": _identified,
    "attempts": _attempted,
    "replayed": _replayed,
}


def _with_header(rows: QuerySet[DeadLetter], term: str, alias: str) -> QuerySet[DeadLetter]:
    name, given, value = term.partition("=")
    rows = rows.alias(**{alias: KeyTransform(name, "headers")})
    if not given:
        return rows.filter(**{f"{alias}__isnull": False})
    if name not in postgres.UNINDEXED_HEADERS:
        rows = rows.alias(searched_headers=postgres.SearchedHeaders("headers"))
        rows = rows.filter(_indexed(rows, "searched_headers", [name], value))
    return rows.filter(**{alias: value})


def _with_path(rows: QuerySet[DeadLetter], term: str, alias: str) -> QuerySet[DeadLetter]:
    path, given, value = term.partition("=")
    found: Any = "document"
    for step in steps(path):
        found = KeyTransform(step, found)
    rows = rows.alias(**{alias: found})
    if not given:
        return rows.filter(**{f"{alias}__isnull": False})
    wanted = Q()
    for meaning in _meanings(value):
        wanted |= Q(**{alias: meaning}) & _indexed(rows, "document", steps(path), meaning)
    return rows.filter(wanted)


def _indexed(rows: QuerySet[DeadLetter], field: str, path: Sequence[str], value: Any) -> Q:
    """The same once more, as an index of PostgreSQL knows it; it has no word for a place in a list."""
    if not _indexes_json(rows) or any(step.isdigit() for step in path):
        return Q()
    for step in reversed(path):
        value = {step: value}
    return Q(**{f"{field}__contains": value})


def _indexes_json(rows: QuerySet[DeadLetter]) -> bool:
    return bool(connections[rows.db].features.supports_json_field_contains)


def _names_unindexed(term: Term) -> bool:
    return term.name == "header" and term.value.partition("=")[0] in postgres.UNINDEXED_HEADERS


def _meanings(text: str) -> Iterator[Any]:
    """What a value may mean in JSON: the text itself, and what it reads as."""
    yield text
    try:
        read = json.loads(text)
    except (ValueError, RecursionError):
        return
    # NaN and the like are no JSON; a list or a dict is not what somebody looks for by hand.
    if isinstance(read, bool | int) or (isinstance(read, float) and abs(read) < 1e300) or read is None:
        yield read


def _uuid(text: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(text)
    except ValueError:
        return None

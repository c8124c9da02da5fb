"""What is frequent in one heap of messages and rare in another: features with their counts, ranked.

Pure. A difference must be large, and too unlikely to be chance given how many features were looked at: two of three
against none of two is nothing. Of features that hold for the same messages the simplest comes first, and the
others stand beside it.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from stompconsole.deadletters.features import ITEM, TYPES, Feature, Kind, Message, Path, Traits, traits, written

MOST_TOLD = 10
MOST_ALSO = 5
"""Features beside one that hold for the same messages."""

LEAST_SHARE = 0.2
"""A feature of fewer of them than this does not set them apart."""

LEAST_TIMES = 2.0
"""How many times as frequent it must be among them as among the others."""

BY_CHANCE = 0.01
"""How likely one such difference may be among all that were looked at if there were none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contrast:
    """A feature that holds for ``here`` of ``of_here`` messages, and for ``there`` of ``of_there`` others.

    ``usual`` is the type that the others have at this path, for a feature that is a type; ``also`` are other features
    of exactly the same messages.
    """

    kind: Kind
    subject: Path
    value: str
    here: int
    of_here: int
    there: int
    of_there: int
    usual: str = ""
    also: tuple[Contrast, ...] = ()

    @property
    def score(self) -> float:
        """The difference of the shares, each drawn to the middle as far as it rests on few messages."""
        return (self.here + 1) / (self.of_here + 2) - (self.there + 1) / (self.of_there + 2)


@dataclass(frozen=True, slots=True)
class _Rows:
    """For which messages a feature holds, as bits."""

    here: int
    there: int


def contrasts(here: Iterable[Message], there: Iterable[Message]) -> tuple[Contrast, ...]:
    """What sets the messages ``here`` apart from those ``there``, the clearest first."""
    ours, theirs = _Heap([traits(message) for message in here]), _Heap([traits(message) for message in there])
    if not ours.all or not theirs.all:
        return ()
    rows = _rows(ours, theirs)
    told = [found for feature in rows if (found := _contrast(feature, rows[feature], ours, theirs)) is not None]
    least_likely = BY_CHANCE / max(1, len(rows))
    told = [found for found in told if _by_chance(found) <= least_likely]
    told.sort(key=lambda found: (-found.score, found.kind, len(found.subject), found.subject, found.value))
    return _without_implied(told, rows)


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A piece of a sentence; ``code`` is what stands so in the message."""

    text: str
    code: bool = False


def in_parts(found: Contrast) -> tuple[Part, ...]:
    """The feature in words, such as `sku` missing, or `qty` is text, not a number."""
    match found.kind:
        case Kind.BODY:
            return (Part(text=f"the body is {found.value}"),)
        case Kind.ORIGIN:
            return (Part(text="from"), _code(found.value)) if found.value else (Part(text="origin not known"),)
        case Kind.HEADER_MISSING | Kind.PATH_MISSING:
            return (*_of(found), Part(text="missing"))
        case Kind.HEADER_PRESENT | Kind.PATH_PRESENT:
            return (*_of(found), Part(text="present"))
        case Kind.HEADER_VALUE | Kind.PATH_VALUE:
            return (*_of(found), Part(text="="), _code(found.value))
        case Kind.PATH_TYPE:
            usual = f", not {found.usual}" if found.usual else ""
            return (*_of(found), Part(text=f"is {found.value}{usual}"))


def _of(found: Contrast) -> tuple[Part, ...]:
    if not found.kind.of_json:
        return Part(text="header"), _code(found.subject[0])
    return (_code(written(found.subject)) if found.subject else Part(text="the body"),)


def _code(text: str) -> Part:
    return Part(text=text, code=True)


def in_words(found: Contrast) -> str:
    """The feature and the counts behind it: `sku` missing: 410 of 410 here, 0 of 200 handled."""
    words = " ".join(f"`{part.text}`" if part.code else part.text for part in in_parts(found))
    return f"{words}: {counts_of(found)}"


def counts_of(found: Contrast) -> str:
    """The counts behind a feature."""
    return f"{found.here:,} of {found.of_here:,} here, {found.there:,} of {found.of_there:,} handled"


class _Heap:
    """Messages as bits by feature."""

    def __init__(self, found: Sequence[Traits]) -> None:
        self.found = found
        self.all = (1 << len(found)) - 1
        self.looked_into = _bits(index for index, each in enumerate(found) if each.looked_into)
        self.counts: Counter[Feature] = Counter()
        for each in found:
            self.counts.update(each.features)

    def of(self, kind: Kind) -> int:
        """How many messages a feature of this sort can be asked of."""
        return (self.looked_into if kind.of_json else self.all).bit_count()

    def frequent(self) -> set[Feature]:
        """The features that hold for many enough."""
        return {feature for feature, count in self.counts.items() if count >= LEAST_SHARE * self.of(feature[0])}

    def rows_of(self, features: set[Feature]) -> dict[Feature, int]:
        """For which messages each of these holds."""
        rows = dict.fromkeys(features, 0)
        for index, each in enumerate(self.found):
            for feature in each.features & features:
                rows[feature] |= 1 << index
        return rows

    def lacking(self, path: Path, rows: dict[Feature, int]) -> int:
        """Messages with an object that has no such key, where others have it."""
        parent, key = path[:-1], path[-1]
        if ITEM not in path:
            objects = rows.get((Kind.PATH_TYPE, parent, "an object"), 0)
            return objects & ~rows[Kind.PATH_PRESENT, path, ""]
        # One object of a list may have it and another one not.
        return _bits(
            index for index, each in enumerate(self.found) if any(key not in keys for keys in each.keys.get(parent, ()))
        )

    def usual_type(self, path: Path) -> str:
        """The type that most have at a path; empty without one."""
        types = {name: self.counts[Kind.PATH_TYPE, path, name] for name in TYPES}
        most = max(types, key=lambda name: types[name])
        return most if 2 * types[most] > self.counts[Kind.PATH_PRESENT, path, ""] else ""


def _bits(indexes: Iterable[int]) -> int:
    found = 0
    for index in indexes:
        found |= 1 << index
    return found


def _is_there(feature: Feature) -> bool:
    return feature[0] is Kind.PATH_PRESENT


def _rows(ours: _Heap, theirs: _Heap) -> dict[Feature, _Rows]:
    """Every feature that could tell them apart."""
    frequent = ours.frequent()
    either = frequent | theirs.frequent()
    here, there = ours.rows_of(either), theirs.rows_of(either)
    # That a list has items is told by what they are.
    rows = {each: _Rows(here[each], there[each]) for each in frequent if not _is_there(each) or each[1][-1:] != (ITEM,)}
    for feature in either:
        kind, subject, _ = feature
        if kind is Kind.HEADER_PRESENT:
            missing = _Rows(ours.all & ~here[feature], theirs.all & ~there[feature])
            rows[Kind.HEADER_MISSING, subject, ""] = missing
        elif kind is Kind.PATH_PRESENT and subject and subject[-1] != ITEM:
            rows[Kind.PATH_MISSING, subject, ""] = _Rows(ours.lacking(subject, here), theirs.lacking(subject, there))
    return rows


def _contrast(feature: Feature, rows: _Rows, ours: _Heap, theirs: _Heap) -> Contrast | None:
    """The feature with its counts; None if it is not frequent here, or not rare there."""
    kind, subject, value = feature
    here, there, of_here, of_there = rows.here.bit_count(), rows.there.bit_count(), ours.of(kind), theirs.of(kind)
    if not of_here or not of_there or here < LEAST_SHARE * of_here:
        return None
    if here * of_there < LEAST_TIMES * there * of_here:
        return None
    usual = theirs.usual_type(subject) if kind is Kind.PATH_TYPE else ""
    return Contrast(
        kind=kind,
        subject=subject,
        value=value,
        here=here,
        of_here=of_here,
        there=there,
        of_there=of_there,
        usual=usual if usual != value else "",
    )


def _by_chance(found: Contrast) -> float:
    """How likely it is that so many of those that have it are here, if they were dealt out blindly (Fisher, exact)."""
    having, total = found.here + found.there, found.of_here + found.of_there
    dealt = _log_choose(total, found.of_here)
    most = min(having, found.of_here)
    return math.fsum(
        math.exp(_log_choose(having, here) + _log_choose(total - having, found.of_here - here) - dealt)
        for here in range(found.here, most + 1)
    )


def _log_choose(total: int, chosen: int) -> float:
    if not 0 <= chosen <= total:
        return -math.inf
    return math.lgamma(total + 1) - math.lgamma(chosen + 1) - math.lgamma(total - chosen + 1)


def _without_implied(ranked: Sequence[Contrast], rows: dict[Feature, _Rows]) -> tuple[Contrast, ...]:
    """Those that say something of their own, each with those that hold for the same messages."""
    told: dict[_Rows, list[Contrast]] = {}
    for each in ranked:
        own = rows[each.kind, each.subject, each.value]
        if any(_implies(known, known_rows, each, own) for known_rows, same in told.items() for known in same):
            continue
        if own in told or len(told) < MOST_TOLD:
            told.setdefault(own, []).append(each)
    return tuple(replace(first, also=tuple(others[:MOST_ALSO])) for first, *others in told.values())


def _implies(known: Contrast, known_rows: _Rows, other: Contrast, rows: _Rows) -> bool:
    """Whether one that is told says it already: the same place or one above it, no fewer here, no more there."""
    same = known.kind.of_json == other.kind.of_json and other.subject[: len(known.subject)] == known.subject
    fewer_here = rows.here & ~known_rows.here == 0
    return bool(known.subject or known.kind.of_json) and same and fewer_here and known_rows.there & ~rows.there == 0

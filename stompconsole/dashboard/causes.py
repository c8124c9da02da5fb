"""What a group's page says of its cause: what sets it apart, and what happened just before it began."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from stompconsole.conf import settings_now
from stompconsole.dashboard import formats
from stompconsole.deadletters import apart, beginnings
from stompconsole.deadletters.apart import Apart
from stompconsole.deadletters.beginnings import Happened
from stompconsole.deadletters.contrasts import Contrast, counts_of, in_parts
from stompconsole.deadletters.counting import Counts
from stompconsole.deadletters.features import ITEM, Kind
from stompconsole.deadletters.selection import Filters
from stompconsole.models import FailureGroup

FEW_LETTERS = 3
FEW_HANDLED = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """One feature: in words, with its counts; ``href`` leads to the dead letters that have it, "" where none does."""

    words: SafeString
    counts: str
    here: int
    of_here: int
    href: str
    also: tuple[SafeString, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What sets a group apart. ``compared`` says what with what; ``why`` why there is nothing, and what to do."""

    told: tuple[Told, ...]
    compared: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One thing that happened, and how long before, in words."""

    at: datetime
    ago: str
    words: str
    detail: str


def comparison(group: FailureGroup, counts: Counts) -> Comparison:
    """What sets it apart. Bounded reads, however large it is."""
    found = apart.of_group(group, counts.by_state)
    return Comparison(
        told=tuple(_told(group, each) for each in found.contrasts),
        compared=_compared(found),
        why="" if found.contrasts else _why(group, found),
    )


def steps_before(group: FailureGroup) -> tuple[Step, ...]:
    """What happened just before it began, the nearest first."""
    return tuple(_step(each) for each in beginnings.before(group))


def _step(happened: Happened) -> Step:
    return Step(
        at=happened.at,
        ago=f"{formats.span(happened.before_s)} before",
        words=happened.words,
        detail=happened.detail,
    )


def _told(group: FailureGroup, found: Contrast) -> Told:
    return Told(
        words=_html(found),
        counts=counts_of(found),
        here=found.here,
        of_here=found.of_here,
        href=_href(group, found),
        also=tuple(_html(each) for each in found.also),
    )


def _html(found: Contrast) -> SafeString:
    pieces = (format_html("<code>{}</code>" if part.code else "{}", part.text) for part in in_parts(found))
    return format_html_join(" ", "{}", ((piece,) for piece in pieces))


def _compared(found: Apart) -> str:
    if not found.letters or not found.handled:
        return ""
    whole = found.letters >= found.of_letters
    letters = formats.plural(found.letters, "dead letter")
    ours = letters if whole else f"A sample of {formats.number(found.letters)} of {found.of_letters:,} dead letters"
    theirs = formats.plural(found.handled, "message") + " that were handled well"
    if found.same_period or found.since is None or found.until is None:
        return f"{ours} against {theirs} in the same period."
    span = f"{formats.exact(found.since)} to {formats.exact(found.until)}"
    return f"{ours} against {theirs}: hardly any of the same period is kept, these are the nearest, {span}."


def _why(group: FailureGroup, found: Apart) -> str:
    """Why nothing sets it apart, and the next step."""
    if group.consumer is None:
        return "Its consumer was deleted, and with it what it had handled well: there is nothing to compare with."
    if not found.handled and not settings_now().sample_handled:
        return (
            'Nothing to compare with: STOMPCONSOLE["SAMPLE_HANDLED"] is off. Switch it on, restart the workers, and'
            " look again when some messages have been handled."
        )
    if not found.handled:
        return (
            f"Nothing to compare with yet: no worker has handled a message of {group.consumer.name} well since it began"
            " to take samples. Look again when some have been handled."
        )
    if found.letters < FEW_LETTERS or found.handled < FEW_HANDLED:
        return "Too few messages to tell a difference from chance. Look again when there are more."
    return (
        "Nothing: headers, JSON and origin are like those of what was handled well. The cause is then more likely in"
        " what the handler meets than in the messages: see what happened just before."
    )


def _href(group: FailureGroup, found: Contrast) -> str:
    """The dead letters of the group that have it, where a search can ask for that."""
    filters = _filters(group, found)
    if filters is None:
        return ""
    return f"{reverse('stompconsole:dead-letters')}?{filters.query_string()}"


def _filters(group: FailureGroup, found: Contrast) -> Filters | None:
    own = Filters(group=str(group.pk))
    match found.kind:
        case Kind.ORIGIN if found.value:
            own = Filters(group=own.group, origin=found.value)
        case Kind.HEADER_PRESENT | Kind.HEADER_VALUE if _can_be_asked(found.subject):
            own = Filters(group=own.group, text=_term("header", found))
        case Kind.PATH_PRESENT | Kind.PATH_VALUE if _can_be_asked(found.subject):
            own = Filters(group=own.group, text=_term("json", found))
        case _:
            return None
    # What a URL can't carry as it is would ask for something else.
    unchanged = Filters.from_query({"group": own.group, "origin": own.origin, "text": own.text}) == own
    return own if unchanged and not own.problems() and (own.text or own.origin) else None


def _can_be_asked(steps: Iterable[str]) -> bool:
    return all(step and step != ITEM and not any(each in step for each in '.[]="$') for step in steps)


def _term(name: str, found: Contrast) -> str:
    subject = ".".join(found.subject)
    if found.kind in {Kind.HEADER_PRESENT, Kind.PATH_PRESENT}:
        return f'{name}:"{subject}"' if " " in subject else f"{name}:{subject}"
    value = found.value[1:-1] if found.kind is Kind.PATH_VALUE and found.value.startswith('"') else found.value
    if '"' in value or not value.isprintable():
        return ""
    plain = value and " " not in subject and " " not in value
    return f"{name}:{subject}={value}" if plain else f'{name}:"{subject}={value}"'

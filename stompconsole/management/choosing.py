"""What the acts of ``deadletters`` are given in words: the filters of the page, a plan, edits."""

from __future__ import annotations

from argparse import ArgumentParser
from dataclasses import fields
from typing import Any

from django.core.management.base import CommandError

from stompconsole.deadletters.filters import Filters
from stompconsole.deadletters.operations import Act
from stompconsole.models import DeadLetterState

PLAN = {
    "destination": "Send them there in place of where each came from.",
    "unknown_to": "Where to send what has no known origin; without it that is skipped.",
    "rate": "Messages a second at most.",
    "canary": "How many at first, step by step: 1,5,25.",
    "stop_above": "Stop when more than this share fails again, in percent.",
    "stop_on_same": "Any text: stop when one fails as it did before.",
    "start_at": "When to start, ISO 8601.",
}
EDITS = {
    "set-header": (Act.SET_HEADER, "NAME=VALUE", "Set this header in each message that is sent."),
    "remove-header": (Act.REMOVE_HEADER, "NAME", "Leave this header out."),
    "set-json": (Act.SET_JSON, "PATH=JSON", "Put a value at a path of the body: order.sku='\"A-17\"'."),
    "remove-json": (Act.REMOVE_JSON, "PATH", "Take out what is at a path of the body."),
}
_FILTERS = {
    "consumer": "Of this consumer.",
    "state": "In this state, or all; dead when left out.",
    "text": "A search as on the page: words, header:x=1, json:order.id=7, error:…, body:…, attempts:>=3.",
    "error_type": "With this error type.",
    "group": "Of the failure group with this id.",
    "origin": "From this destination.",
    "worker": "That died in this worker.",
    "day": "That failed on this day.",
    "failed_after": "That failed after this time, or within a span such as 90m, 24h, 7d.",
    "failed_before": "That failed before this time.",
}
assert set(_FILTERS) == {field.name for field in fields(Filters)}


def add_filters(parser: ArgumentParser) -> None:
    """One option for each filter of the page."""
    for name, words in _FILTERS.items():
        parser.add_argument(f"--{name.replace('_', '-')}", default="", help=words)


def filters_of(options: dict[str, Any]) -> Filters:
    """The filters that were given, dead ones where no state was. Raises CommandError that says what can't be read."""
    filters = Filters.from_query({name: options[name] for name in _FILTERS})
    if problems := filters.problems():
        raise CommandError("\n".join(problems))
    states = {*DeadLetterState.values, "all", ""}
    if filters.state not in states:
        raise CommandError(f"--state {filters.state!r} is none of {', '.join(sorted(states - {''}))}")
    state = {"": DeadLetterState.DEAD.value, "all": ""}.get(filters.state, filters.state)
    return Filters.from_query({**{name: options[name] for name in _FILTERS}, "state": state})


def edits_of(options: dict[str, Any]) -> list[dict[str, str]]:
    """What is to be edited, as ``operations`` reads it. Raises CommandError that says what can't be read."""
    found: list[dict[str, str]] = []
    for name, (act, form, _) in EDITS.items():
        for text in options[name.replace("-", "_")]:
            target, given, value = text.partition("=") if act.sets else (text, "=", "")
            if not given or not target.strip():
                raise CommandError(f"--{name} {text!r} can't be read: write --{name} {form}")
            found.append({"act": act.value, "target": target, "value": value})
    return found

"""Reading settings by a table of them: what a project gave in, typed values and sentences out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from stompconsole.conf import parsing
from stompconsole.conf.parsing import Parser


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting: its name, the field it becomes, how its value is read. A secret's value is never shown."""

    name: str
    attribute: str
    parse: Parser
    secret: bool = False


def values_of(
    known: Iterable[Setting], given: Mapping[str, Any], wrong: list[str], *, shown_as: str = "{}"
) -> dict[str, Any]:
    """The typed values of what is given, by attribute. What is unset or wrong is left out; ``wrong`` says why.

    ``shown_as`` is how a name is written in those sentences, with ``{}`` where it stands.
    """
    found = {}
    for setting in known:
        if setting.name in given:
            value = _parsed(setting, given[setting.name], wrong, shown_as.format(setting.name))
            if value is not None:
                found[setting.attribute] = value
    return found


def _parsed(setting: Setting, value: Any, wrong: list[str], shown_as: str) -> Any:
    try:
        return setting.parse(value)
    except parsing.WrongValueError as allowed:
        shown = "set to something else" if setting.secret else repr(value)
        wrong.append(f"{shown_as} is {shown}; it must be {allowed}.")
        return None

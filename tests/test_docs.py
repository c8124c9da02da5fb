"""Documents that keep to the code: every setting, every name, every command and option they speak of."""

from __future__ import annotations

import ast
import dataclasses
import re
import shlex
from collections.abc import Iterable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from django.core.management import get_commands, load_command_class
from django.db.models import Model

from stompconsole import conf
from stompconsole.conf import keys, stomp
from stompconsole.conf.parsing import DAY_S
from stompconsole.conf.reading import Setting
from stompconsole.models import Broker, Consumer, default_broker, default_consumer
from stompconsole.project import environment
from stompconsole.project.environment import VARIABLES

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(DOCS.glob("*.md"))]
GUIDE = (DOCS / "coming-from-django-stomp.md").read_text()

MODELS: dict[str, type[Model]] = {"Broker": Broker, "Consumer": Consumer}


def table(heading: str) -> dict[str, list[str]]:
    """The rows of the table under a heading of settings.md: the other cells by the name in the first."""
    section = (DOCS / "settings.md").read_text().split(f"## {heading}\n")[1].split("\n## ")[0]
    rows = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in section.splitlines() if "| `" in line]
    return {row[0].strip("` "): [cell.strip(" |") for cell in row[1:]] for row in rows}


def shown(value: Any) -> str:
    """A default as the tables write it."""
    match value:
        case None | "" | ():
            return "none"
        case bool():
            return "yes" if value else "no"
        case tuple():
            return ", ".join(map(shown, value))
        case float() if value >= DAY_S:
            return f"{value / DAY_S:g} days"
        case float() if value >= 3_600:
            return f"{value / 3_600:g} h"
        case float():
            return f"{value:g}"
        case _:
            return str(value)


def defaults(settings: Iterable[Setting], values: object) -> dict[str, str]:
    return {each.name: shown(getattr(values, each.attribute, None)) for each in settings}


def fields_by_setting() -> dict[str, set[str]]:
    """The fields that each setting decides, as the code has it."""
    found: dict[str, set[str]] = {}
    for field, name in default_broker.SETTING_OF.items():
        if field != "name":
            found.setdefault(name, set()).add(f"Broker.{field}")
    for name, fields in default_consumer.FIELDS_OF.items():
        found[name] = {f"Consumer.{field}" for field in fields}
    return found


@pytest.mark.parametrize(
    ("heading", "expected"),
    [
        ("Of the console", defaults(keys.SETTINGS, keys.Settings())),
        ("Those of django-stomp", defaults(stomp.SETTINGS, stomp.StompSettings())),
        ("The project form", {name: default or "none" for name, default in VARIABLES.items()}),
    ],
)
def test_every_setting_is_documented_with_its_default_and_no_other(heading: str, expected: dict[str, str]) -> None:
    assert {name: cells[0] for name, cells in table(heading).items()} == expected


def test_every_setting_says_what_it_means() -> None:
    for heading in ("Of the console", "Those of django-stomp", "The project form"):
        assert all(len(cells[1]) > 5 for cells in table(heading).values())


def test_every_setting_names_the_fields_it_decides_and_no_other() -> None:
    documented = {
        name: set(re.findall(r"`((?:Broker|Consumer)\.\w+)`", cells[2]))
        for name, cells in table("Those of django-stomp").items()
    }
    documented |= {
        f'STOMPCONSOLE["{name}"]': set(re.findall(r"`(\w+\.\w+)`", cells[2]))
        for name, cells in table("Of the console").items()
    }
    assert {name: fields for name, fields in documented.items() if fields} == fields_by_setting()


def test_every_field_that_is_named_is_one_of_a_row() -> None:
    for document in DOCUMENTS:
        for model, field in re.findall(r"`(Broker|Consumer)\.(\w+)`", document.read_text()):
            assert MODELS[model]._meta.get_field(field), f"{document.name} names {model}.{field}"


def test_the_project_form_reads_no_other_variable_than_those_it_owns() -> None:
    read = {name for path in (ROOT / "stompconsole" / "project").rglob("*.py") for name in _variables_read(path)}
    assert read == set(VARIABLES)


def _variables_read(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        match node:
            case ast.Call(func=ast.Name(id="text" | "flag" | "words"), args=[ast.Constant(value=str(variable)), *_]):
                yield variable
            case ast.Call(
                func=ast.Attribute(value=ast.Attribute(attr="environ"), attr="get"),
                args=[ast.Constant(value=str(variable)), *_],
            ):
                yield variable
            case ast.Subscript(value=ast.Attribute(attr="environ"), slice=ast.Constant(value=str(variable))):
                yield variable


def test_keys_that_are_lists_are_read_as_lists_from_the_environment() -> None:
    lists = {each.name for each in keys.SETTINGS if isinstance(getattr(keys.Settings(), each.attribute), tuple)}
    assert lists == environment.LISTS


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_link_leads_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", document.read_text()):
        assert (document.parent / target).exists(), f"{document.name} links to {target}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_setting_that_is_spoken_of_exists(document: Path) -> None:
    text = document.read_text()
    named = set(re.findall(r"\b((?:DEFAULT_)?STOMP_[A-Z][A-Z_]*[A-Z])\b", text))
    assert named <= set(conf.STOMP_SETTING_NAMES)
    assert set(re.findall(r"""STOMPCONSOLE(?:\["| = \{")([A-Z_]+)""", text)) <= set(keys.NAMES)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_name_of_ours_can_be_imported(document: Path) -> None:
    names = list(_dotted_names(document.read_text()))
    for name in names:
        assert _imported(name) is not None
    assert document.name != "coming-from-django-stomp.md" or len(names) > 12


def _dotted_names(text: str) -> Iterator[str]:
    for path in re.findall(r"(?<![\w.@/])(stompconsole(?:\.[A-Za-z_]\w*)+)", text):
        # ``stompconsole.view_console`` is a permission.
        if not re.search(rf"permission[^.]*`{re.escape(path)}`", text):
            yield path
    for module, names in re.findall(r"from (stompconsole(?:\.\w+)*) import ([\w, ]+)", text):
        yield from (f"{module}.{name.strip()}" for name in names.split(","))


def _imported(path: str) -> Any:
    parts = path.split(".")
    for length in range(len(parts), 0, -1):
        try:
            found = import_module(".".join(parts[:length]))
        except ModuleNotFoundError:
            continue
        for part in parts[length:]:
            found = getattr(found, part)
        return found
    raise AssertionError(path)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_command_and_option_exists(document: Path) -> None:
    for line in re.findall(r"python manage\.py ([^`\n]+)", document.read_text()):
        name, *arguments = shlex.split(line.split("#")[0].replace("…", ""))
        known = get_commands()
        assert name in known, f"{document.name} names {name}"
        parser = load_command_class(str(known[name]), name).create_parser("manage.py", name)
        options = {option for action in parser._actions for option in action.option_strings}
        assert {argument for argument in arguments if argument.startswith("--")} <= options


def test_options_that_the_guide_speaks_of_are_those_of_its_commands() -> None:
    spoken = set(re.findall(r"`(--[a-z-]+)", GUIDE))
    known = set()
    for name in ("import_pubsub", "move_messages", "ack_all_messages"):
        parser = load_command_class("stompconsole", name).create_parser("manage.py", name)
        known |= {option for action in parser._actions for option in action.option_strings}
    assert spoken <= known
    assert len(spoken) >= 5


def test_the_guide_tells_of_each_defect_once() -> None:
    assert re.findall(r"^\| (W\d+) \|", GUIDE, re.MULTILINE) == [f"W{number}" for number in range(1, 23)]


def test_code_in_the_documents_is_code() -> None:
    for document in DOCUMENTS:
        for block in re.findall(r"```python\n(.*?)```", document.read_text(), re.DOTALL):
            ast.parse(re.sub(r"^\s*\.\.\.$", "", block, flags=re.MULTILINE))


def test_the_readmes_commands_are_targets_of_the_makefile() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for command in ("demo", "test", "fast", "lint", "bench"):
        assert re.search(rf"^{command}:", makefile, re.MULTILINE)
        assert f"make {command}" in (ROOT / "README.md").read_text() or command in (ROOT / "README.md").read_text()


def test_every_field_of_the_settings_is_read_by_a_setting() -> None:
    assert {each.attribute for each in keys.SETTINGS} | {"graceful_wait_s", "stomp"} == {
        field.name for field in dataclasses.fields(keys.Settings)
    }

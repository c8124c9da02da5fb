"""Which reader a file gets, and that no file whatever makes one of them fail."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from stompconsole.importing.reading import read, read_path
from stompconsole.importing.reading.files import MOST_BYTES
from tests.importing.reading import pairs, problems, reading

COMMAND = "python manage.py pubsub /queue/orders app.handlers.price_of"
PAIR = ("/queue/orders", "app.handlers.price_of")
KINDS = ["a.sh", "Procfile", "a.ini", "a.service", "a.yml", "a", "a.txt"]

CONTENTS = {
    "a shell line": COMMAND,
    "a Procfile": f"web: x\norders: {COMMAND}",
    "supervisor": f"[program:x]\ncommand={COMMAND}",
    "a unit": f"[Unit]\n[Service]\nExecStart={COMMAND}",
    "compose": f"services:\n  a:\n    command: {COMMAND}",
    "Kubernetes": "apiVersion: v1\nkind: Pod\nspec: {containers: [{args: [" + COMMAND.replace(" ", ", ") + "]}]}",
}


@pytest.mark.parametrize("kind", CONTENTS)
def test_standard_input_is_what_it_looks_like(kind: str) -> None:
    assert pairs(CONTENTS[kind], "standard input") == [PAIR]


@pytest.mark.parametrize(
    "name",
    ["Procfile", "Procfile.dev", "prod.procfile", "deploy/Procfile", "PROCFILE"],
)
def test_a_procfile_is_known_by_its_name(name: str) -> None:
    assert pairs(CONTENTS["a Procfile"], name) == [PAIR]


@pytest.mark.parametrize("name", ["a.py", "a.json", "a.tar.gz", "Makefile", "Dockerfile", "a.service.j2"])
def test_a_kind_of_file_that_is_not_known_is_said_with_those_that_are(name: str) -> None:
    (said,) = problems(COMMAND, name)
    assert said.startswith(f"{name}: no kind of file that is known")
    assert "compose" in said


@pytest.mark.parametrize("data", [b"\x7fELF\0\0", b"\xff\xfe\x00a", b"caf\xe9", "pubsub".encode("utf-16")])
def test_a_binary_file_is_said_to_be_one(data: bytes) -> None:
    assert [str(problem) for problem in read("a.sh", data).problems] == ["a.sh: not a text in UTF-8."]


def test_a_mark_of_the_encoding_is_no_part_of_the_text() -> None:
    assert read("Procfile", f"\ufefforders: {COMMAND}".encode()).found


def test_what_can_not_be_read_is_said(tmp_path: Path) -> None:
    assert "No such file" in str(read_path(str(tmp_path / "gone")).problems[0])
    assert "Is a directory" in str(read_path(str(tmp_path)).problems[0])
    assert "can't be read" in str(read_path("a\0b").problems[0])


def test_a_file_is_read_up_to_its_limit(tmp_path: Path) -> None:
    path = tmp_path / "a.sh"
    path.write_text(COMMAND + "\n" + "#" * (MOST_BYTES - len(COMMAND) - 1))
    assert len(read_path(str(path)).found) == 1
    path.write_text(COMMAND + "\n" + "#" * MOST_BYTES)
    assert "larger than" in str(read_path(str(path)).problems[0])


@given(st.sampled_from(KINDS), st.binary() | st.text().map(str.encode))
def test_no_content_whatever_makes_a_reader_fail(name: str, data: bytes) -> None:
    read(name, data)


PIECES = st.sampled_from(
    [
        COMMAND, "pubsub", "services:", "command:", "  ", "\n", "- ", "[", "]", "{", "}", ": ", "&a ", "*a", "<<: *a",
        "[program:x]", "[Service]", "ExecStart=", "numprocs=", "%(a)s", "%(process_num)999d", "environment=", "a=b,",
        "'", '"', "\\", "$", "${", "$(", "`", "#", "!tag ", "|", ">", "---", "kind:", "spec:", "containers:", "=",
        "2020-99-99", "0x", "~", "? ", "extends:", "replicas:", "1e999", "\t", "é",
    ]
)  # fmt: skip


@given(st.sampled_from(KINDS), st.lists(PIECES, max_size=40).map("".join))
@example("a.yml", "services: {a: &a {extends: a, command: [pubsub, *a]}}")
@example("a.yml", "services: {a: {command: [[pubsub]], scale: []}}")
@example("a.yml", "a: &a [*a]\npubsub: 1")
@example("a.yml", "? [pubsub]\n: 1")
@example("a.yml", "services: [pubsub]")
@example("a.yml", "services: {1: {command: pubsub}, a: pubsub}")
@example("a.yml", "kind: {}\nspec: {containers: {a: pubsub}, template: pubsub}")
def test_nor_do_pieces_of_files_in_any_order(name: str, text: str) -> None:
    read(name, text.encode())


def test_yaml_that_is_broken_is_named_with_its_line() -> None:
    assert problems("services:\n  a: [\n", "a.yml")[0].startswith("a.yml:3: no YAML: ")


@pytest.mark.long
def test_yaml_that_is_nested_without_end_is_no_yaml() -> None:
    assert "nested too deeply" in problems("[" * 5_000, "a.yml")[0]


def test_aliases_of_aliases_do_not_fill_the_memory() -> None:
    levels = "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 40))
    merges = "".join(f"m{n}: &m{n} {{<<: [{', '.join([f'*m{n - 1}'] * 9)}]}}\n" for n in range(1, 40))
    services = "services: {x: {command: [pubsub, *a39]}, y: *m39}\n"
    text = f"a0: &a0 [pubsub]\nm0: &m0 {{pubsub: 1}}\n{levels}{merges}{services}"
    assert "a command is a text" in problems(text, "a.yml")[0]
    assert reading(text, "a.yml").found == ()


def test_values_of_yaml_stay_as_they_are_written() -> None:
    text = "services: {a: {command: [python, manage.py, pubsub, 2024-13-45, a.b], environment: {A: 010, B: yes, C: =}}}"
    (found,) = reading(text, "a.yml").found
    assert found.destination == "2024-13-45"
    assert found.environment == {"A": "010", "B": "yes", "C": "="}

"""One file, or standard input: what kind it is, and its reader."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path, PurePath
from typing import Any

from stompconsole.importing.reading.commands import COMMAND
from stompconsole.importing.reading.compose import read_compose
from stompconsole.importing.reading.documents import Malformed, documents, mapping
from stompconsole.importing.reading.found import NOTHING, Around, Reading, joined, trouble
from stompconsole.importing.reading.kubernetes import read_manifest
from stompconsole.importing.reading.procfile import looks_like_one, read_procfile
from stompconsole.importing.reading.scripts import read_script
from stompconsole.importing.reading.supervisor import read_supervisor
from stompconsole.importing.reading.systemd import read_unit

MOST_BYTES = 2**20
KNOWN = (
    "shell scripts and lines (.sh, .bash, .txt, or no ending), Procfile, supervisor (.ini, .conf),"
    " compose and Kubernetes (.yml, .yaml), systemd (.service)"
)

Reader = Callable[[str, Around], Reading]


def read_path(path: str) -> Reading:
    """Every ``pubsub`` of a file. What can't be read is a problem, never an exception."""
    try:
        with Path(path).open("rb") as file:
            data = file.read(MOST_BYTES + 1)
    except (OSError, ValueError) as error:
        return trouble(path, 0, f"can't be read: {getattr(error, 'strerror', None) or error}.")
    return read(path, data)


def read(name: str, data: bytes) -> Reading:
    """Every ``pubsub`` of what a file of that name holds; without an ending its content tells what kind it is."""
    if len(data) > MOST_BYTES:
        return trouble(name, 0, f"larger than {MOST_BYTES:,} bytes: give a file that starts processes.")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        return trouble(name, 0, "not a text in UTF-8.")
    reader = _reader(PurePath(name), text)
    if reader is None:
        return trouble(name, 0, f"no kind of file that is known: {KNOWN}. Lines can be given on standard input, as -.")
    return reader(text, Around(file=name))


def _reader(name: PurePath, text: str) -> Reader | None:
    base, ending = name.name.lower(), name.suffix.lower()
    if base.startswith("procfile") or ending == ".procfile":
        return read_procfile
    if base in {"makefile", "dockerfile", "gnumakefile", "containerfile"}:
        return None
    return _by_content(text) if ending == "" else BY_ENDING.get(ending)


def _by_content(text: str) -> Reader:
    for pattern, reader in SIGNS.items():
        if pattern.search(text):
            return reader
    return read_procfile if looks_like_one(text) else read_script


def _read_ini(text: str, around: Around) -> Reading:
    return read_unit(text, around) if UNIT.search(text) else read_supervisor(text, around)


def _read_yaml(text: str, around: Around) -> Reading:
    return joined(_of_documents(text, around))


def _of_documents(text: str, around: Around) -> Iterator[Reading]:
    try:
        for document in documents(text):
            yield _of_document(document, text, around)
    except Malformed as error:
        yield trouble(around.file, error.line, f"no YAML: {error}.")


def _of_document(document: Any, text: str, around: Around) -> Reading:
    found: Mapping[str, Any] = mapping(document)
    if "services" in found:
        return read_compose(found, around)
    if "kind" in found or "spec" in found:
        return read_manifest(found, around)
    if COMMAND not in text:
        return NOTHING
    return trouble(around.file, 0, "neither a compose file, which has services, nor a manifest of Kubernetes.")


UNIT = re.compile(r"^\[Service\]", re.MULTILINE)
SIGNS: dict[re.Pattern[str], Reader] = {
    re.compile(r"^\[(program|fcgi-program|supervisord)\b", re.MULTILINE): read_supervisor,
    UNIT: read_unit,
    re.compile(r"^(services|apiVersion|kind):", re.MULTILINE): _read_yaml,
}
BY_ENDING: dict[str, Reader] = {
    ".sh": read_script,
    ".bash": read_script,
    ".zsh": read_script,
    ".ksh": read_script,
    ".txt": read_script,
    ".ini": _read_ini,
    ".conf": _read_ini,
    ".cfg": _read_ini,
    ".service": read_unit,
    ".yml": _read_yaml,
    ".yaml": _read_yaml,
}

"""A traceback read into frames: the team's own stand out, runs of others are folded."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby

from stompconsole.dashboard import formats

_FRAME = re.compile(r'^  File "(?P<file>[^"]*)", line (?P<line>\d+)(?:, in (?P<function>.*))?$')
_FOREIGN = re.compile(
    r"(^<)|[/\\](site-packages|dist-packages)[/\\]|[/\\]python3(\.\d+)?[/\\]"
    r"|[/\\]stompconsole[/\\](delivery|worker|transport|brokers|publishing|handlers)\b"
)
_PACKAGE = re.compile(r"[/\\](?:site-packages|dist-packages)[/\\]([^/\\]+)|[/\\](stompconsole)[/\\]")
_SEPARATOR = re.compile(r"[/\\]")
_SHOWN_PARTS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """One frame. ``where`` is the end of its path with the line; ``code`` is what stands there."""

    file: str
    where: str
    function: str
    code: str
    foreign: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A stretch of a traceback: plain ``text``, or ``frames``; ``folded`` says what they are when they are folded."""

    text: str = ""
    frames: tuple[Frame, ...] = ()
    folded: str = ""


def parts(traceback: str) -> list[Part]:
    """The traceback in order. Text that is no traceback comes back as one part."""
    items = list(_items(traceback.splitlines()))
    # With no frame of the team's nothing is folded: hiding all of it would hide the cause.
    fold = any(isinstance(item, Frame) and not item.foreign for item in items)
    return [_part(kind, list(run), fold=fold) for kind, run in groupby(items, key=_kind)]


def _part(kind: str, run: list[Frame | str], *, fold: bool) -> Part:
    if kind == "text":
        return Part(text="\n".join(item for item in run if isinstance(item, str)))
    frames = tuple(item for item in run if isinstance(item, Frame))
    return Part(frames=frames, folded=_described(frames) if fold and kind == "foreign" else "")


def _kind(item: Frame | str) -> str:
    if isinstance(item, str):
        return "text"
    return "foreign" if item.foreign else "own"


def _described(frames: tuple[Frame, ...]) -> str:
    packages = sorted({found[1] or found[2] for frame in frames if (found := _PACKAGE.search(frame.file))})
    of = f" of {' and '.join(packages[:3])}" if packages else ""
    return f"{formats.plural(len(frames), 'frame')}{of}"


def _items(lines: list[str]) -> Iterator[Frame | str]:
    index = 0
    while index < len(lines):
        found = _FRAME.match(lines[index])
        index += 1
        if found is None:
            yield lines[index - 1]
            continue
        code = []
        while index < len(lines) and lines[index].startswith("    "):
            code.append(lines[index])
            index += 1
        yield _frame(found, code)


def _frame(found: re.Match[str], code: list[str]) -> Frame:
    file = found["file"]
    end = "/".join(_SEPARATOR.split(file)[-_SHOWN_PARTS:]).lstrip("/")
    return Frame(
        file=file,
        where=f"{end}:{found['line']}",
        function=found["function"] or "",
        code="\n".join(code),
        foreign=bool(_FOREIGN.search(file)),
    )

"""A traceback read into frames, and which of them are the team's own code."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_FRAME = re.compile(r'^  File "(?P<file>[^"]*)", line (?P<line>\d+)(?:, in (?P<function>.*))?$')
_FOREIGN = re.compile(
    r"(^<)|[/\\](site-packages|dist-packages)[/\\]|[/\\]python3(\.\d+)?[/\\]"
    r"|[/\\]stompconsole[/\\](deadletters|delivery|worker|transport|brokers|publishing|handlers)\b"
)
_SEPARATOR = re.compile(r"[/\\]")
_SHOWN_PARTS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """One frame. ``path`` is the end of ``file``; ``code`` is what stands there; ``foreign``: not the team's own."""

    file: str
    path: str
    line: int
    function: str
    code: str
    foreign: bool

    @property
    def where(self) -> str:
        """The end of its path, and the line."""
        return f"{self.path}:{self.line}"


def items(traceback: str) -> Iterator[Frame | str]:
    """The traceback in order: its frames, and the lines between as they are."""
    lines = traceback.splitlines()
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


def deepest_own(traceback: str) -> Frame | None:
    """The deepest frame of the team's own code, of the error that was raised last; else the deepest of all."""
    last: Frame | None = None
    own: Frame | None = None
    for item in items(traceback):
        if isinstance(item, str):
            if item.startswith("Traceback ("):
                last = own = None
            continue
        last = item
        own = own if item.foreign else item
    return own or last


def _frame(found: re.Match[str], code: list[str]) -> Frame:
    file = found["file"]
    return Frame(
        file=file,
        path="/".join(_SEPARATOR.split(file)[-_SHOWN_PARTS:]).lstrip("/"),
        line=int(found["line"]),
        function=found["function"] or "",
        code="\n".join(code),
        foreign=bool(_FOREIGN.search(file)),
    )

"""A traceback as it is shown: the team's own frames stand out, runs of others are folded."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import groupby

from stompconsole.dashboard import formats
from stompconsole.deadletters.frames import Frame, items

_PACKAGE = re.compile(r"[/\\](?:site-packages|dist-packages)[/\\]([^/\\]+)|[/\\](stompconsole)[/\\]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A stretch of a traceback: plain ``text``, or ``frames``; ``folded`` says what they are when they are folded."""

    text: str = ""
    frames: tuple[Frame, ...] = ()
    folded: str = ""


def parts(traceback: str) -> list[Part]:
    """The traceback in order. Text that is no traceback comes back as one part."""
    found = list(items(traceback))
    # With no frame of the team's nothing is folded: hiding all of it would hide the cause.
    fold = any(isinstance(item, Frame) and not item.foreign for item in found)
    return [_part(kind, list(run), fold=fold) for kind, run in groupby(found, key=_kind)]


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

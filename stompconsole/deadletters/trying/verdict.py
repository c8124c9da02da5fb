"""What came of trying one dead letter, as a value, and as the line in which one process tells it to another."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace

from stompconsole.delivery.disposition import Failure
from stompconsole.models import TrialItemState

MAX_OUTPUT = 16 * 1024
"""Bytes of output that are kept: half of them from its start, half from its end."""

MAX_MESSAGE = 4_000
MAX_TRACEBACK = 32_000
MAX_NOTE = 500
MAX_NOTES = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """``seconds`` is how long the handler took, None if it was not called. ``notes`` are sentences."""

    state: TrialItemState
    seconds: float | None = None
    error_type: str = ""
    error_message: str = ""
    traceback: str = ""
    notes: tuple[str, ...] = ()
    output: str = ""

    def line(self) -> bytes:
        """As one line of bounded length."""
        return json.dumps(asdict(self.trimmed())).encode() + b"\n"

    def trimmed(self) -> Verdict:
        """The same, with texts no longer than anybody reads: the end of a traceback says most."""
        return replace(
            self,
            error_type=self.error_type[:255],
            error_message=self.error_message[:MAX_MESSAGE],
            traceback=self.traceback[-MAX_TRACEBACK:],
            notes=tuple(note[:MAX_NOTE] for note in self.notes[:MAX_NOTES]),
        )

    @classmethod
    def from_line(cls, line: bytes) -> Verdict:
        """Raises ValueError for what is none."""
        found = json.loads(line)
        try:
            return cls(**{**found, "state": TrialItemState(found["state"]), "notes": tuple(found["notes"])})
        except (TypeError, KeyError) as error:
            raise ValueError(f"no verdict: {error}") from error


def skipped(why: str) -> Verdict:
    """It can't be tried."""
    return Verdict(state=TrialItemState.SKIPPED, notes=(why,))


def failed(failure: Failure, seconds: float | None) -> Verdict:
    """It would fail."""
    return Verdict(
        state=TrialItemState.FAILED,
        seconds=seconds,
        error_type=failure.error_type,
        error_message=failure.message,
        traceback=failure.traceback,
    )

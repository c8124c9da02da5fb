"""The table: what was measured, printed for people and written as JSON for whoever compares two runs."""

from __future__ import annotations

import json
import os
import platform
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

REFERENCES = ("stomp.py", "raw-socket")
"""What a figure is compared with: the first of these that was measured beside it."""

NO_BROKER = "none"


@dataclass(slots=True, kw_only=True)
class Row:
    """One line of the table: what was measured on which broker, in messages (or pages) a second, round by round."""

    case: str
    broker: str
    variant: str
    rounds: list[float] = field(default_factory=list)

    @property
    def per_second(self) -> float:
        return statistics.median(self.rounds)


def print_table(rows: Sequence[Row]) -> None:
    """For people."""
    throughput = [row for row in rows if row.broker != NO_BROKER]
    if throughput:
        print(f"\n{'case':8} {'broker':10} {'variant':14} {'messages/s':>11}  ratio to the reference, median of rounds")
    for row in throughput:
        found = ratio(row, rows)
        words = "" if found is None else f"{found[0]:.2f} of {found[1]}"
        print(f"{row.case:8} {row.broker:10} {row.variant:14} {row.per_second:11,.0f}  {words}")
    timed = [row for row in rows if row.broker == NO_BROKER]
    if timed:
        print(f"\n{'case':36} {'database':10} {'milliseconds':>12}")
    for row in timed:
        print(f"{row.case:36} {row.variant:10} {1_000 / row.per_second:12,.1f}")


def write_json(rows: Sequence[Row], path: Path) -> None:
    """For programs."""
    machine = {
        "processors": os.cpu_count(),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
    }
    path.write_text(json.dumps({"machine": machine, "rows": [_listed(row, rows) for row in rows]}, indent=2) + "\n")


def _listed(row: Row, rows: Sequence[Row]) -> dict[str, object]:
    found = ratio(row, rows)
    return {
        "case": row.case,
        "broker": row.broker,
        "variant": row.variant,
        "per_second": round(row.per_second, 1),
        **({} if found is None else {"ratio": round(found[0], 3), "reference": found[1]}),
        "rounds": [round(figure, 1) for figure in row.rounds],
    }


def ratio(row: Row, rows: Sequence[Row]) -> tuple[float, str] | None:
    """Against the reference on the same broker, round by round, and its name; None where there is none."""
    beside = {other.variant: other for other in rows if (other.case, other.broker) == (row.case, row.broker)}
    name = next((name for name in REFERENCES if name in beside), None)
    if name is None:
        return None
    pairs = zip(row.rounds, beside[name].rounds, strict=True)
    return statistics.median(ours / theirs for ours, theirs in pairs), name

"""``python -m bench``: the performance table, and the same as ``bench/results.json``.

Each variant of a case runs in a process of its own, in turn, round after round, on each broker: machines are noisy, so
medians of ratios taken within a round are what to read.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from bench.variants import consume, move, publish
from bench.workload import Workload, preload
from tests.support.brokers import TestBroker
from tests.support.pool import BROKERS, ServerPool

RESULTS = Path(__file__).with_name("results.json")
ROOT = Path(__file__).resolve().parents[1]
REFERENCE = "stomp.py"
WARM_UP = 5_000
"""Messages at most before the first counted round: a JVM is slow until it has seen the code run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """What is measured: its variants, how many messages, whether they are in the queue before."""

    name: str
    variants: Iterable[str]
    count: int
    preloaded: bool


CASES = {
    case.name: case
    for case in (
        Case(name="consume", variants=tuple(consume.VARIANTS), count=20_000, preloaded=True),
        Case(name="publish", variants=tuple(publish.VARIANTS), count=1_000, preloaded=False),
        Case(name="move", variants=tuple(move.VARIANTS), count=5_000, preloaded=True),
    )
}


@dataclass(slots=True, kw_only=True)
class Row:
    """One line of the table: what was measured on which broker, in messages a second."""

    case: str
    broker: str
    variant: str
    rounds: list[float] = field(default_factory=list)

    @property
    def per_second(self) -> float:
        return statistics.median(self.rounds)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--count", type=int, help="messages a round, in place of each case's own")
    parser.add_argument("--case", choices=sorted(CASES), action="append", help="only this one")
    parser.add_argument("--broker", choices=sorted(BROKERS), action="append", help="only this one")
    given = parser.parse_args()
    pool = ServerPool()
    rows: list[Row] = []
    try:
        kinds = given.broker or list(BROKERS)
        pool.prepare(kinds)
        for kind in kinds:
            for name in given.case or list(CASES):
                rows += compare(CASES[name], reached(pool, kind), given.rounds, given.count or CASES[name].count)
    finally:
        pool.close()
    report(rows)


def reached(pool: ServerPool, kind: str) -> TestBroker:
    """A broker of the pool; a missing one ends the benchmark with its reason."""
    try:
        return pool.broker(kind)
    except (pytest.skip.Exception, pytest.fail.Exception) as missing:
        raise SystemExit(f"{missing}; name others with --broker") from None


def compare(case: Case, broker: TestBroker, rounds: int, count: int) -> Iterable[Row]:
    """Measure each variant of a case ``rounds`` times in turn, ``count`` messages each time."""
    rows = {variant: Row(case=case.name, broker=broker.name, variant=variant) for variant in case.variants}
    for variant in case.variants:
        measure(case, broker, variant, min(count, WARM_UP))
    for number in range(1, rounds + 1):
        for row in in_turn(list(rows.values()), number):
            row.rounds.append(count / measure(case, broker, row.variant, count))
        told = ", ".join(f"{variant} {row.rounds[-1]:,.0f}/s" for variant, row in rows.items())
        print(f"{case.name} on {broker.name}, round {number} of {rounds}: {told}", flush=True)
    return rows.values()


def in_turn(rows: list[Row], number: int) -> list[Row]:
    """The rows in an order that moves on by one each round: going first must favour nobody."""
    first = number % len(rows)
    return rows[first:] + rows[:first]


def measure(case: Case, broker: TestBroker, variant: str, count: int) -> float:
    """Seconds one process of a variant takes for ``count`` messages of 300 bytes."""
    queue = f"/queue/bench.{uuid.uuid4().hex[:12]}"
    work = Workload(
        host=broker.host,
        port=broker.port,
        user=broker.user,
        password=broker.password,
        queue=queue,
        target=f"{queue}.moved",
        count=count,
    )
    if case.preloaded:
        preload(work)
    command = [sys.executable, "-m", f"bench.variants.{case.name}", variant, *work.arguments()]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    if done.returncode:
        raise SystemExit(f"{variant} of {case.name} on {broker.name} failed:\n{done.stdout}{done.stderr}")
    return float(json.loads(done.stdout.splitlines()[-1])["seconds"])


def report(rows: list[Row]) -> None:
    """Print the table, and write it as JSON."""
    print(f"\n{'case':8} {'broker':10} {'variant':14} {'messages/s':>11}  ratio to {REFERENCE}, median of rounds")
    for row in rows:
        print(f"{row.case:8} {row.broker:10} {row.variant:14} {row.per_second:11,.0f}  {ratio(row, rows):.2f}")
    machine = {
        "processors": os.cpu_count(),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
    }
    listed = [
        {
            "case": row.case,
            "broker": row.broker,
            "variant": row.variant,
            "per_second": round(row.per_second, 1),
            "ratio": round(ratio(row, rows), 3),
            "rounds": [round(figure, 1) for figure in row.rounds],
        }
        for row in rows
    ]
    RESULTS.write_text(json.dumps({"machine": machine, "rows": listed}, indent=2) + "\n")


def ratio(row: Row, rows: list[Row]) -> float:
    """Against the reference on the same broker, round by round."""
    reference = next(
        other for other in rows if (other.case, other.broker, other.variant) == (row.case, row.broker, REFERENCE)
    )
    return statistics.median(ours / theirs for ours, theirs in zip(row.rounds, reference.rounds, strict=True))


if __name__ == "__main__":
    main()

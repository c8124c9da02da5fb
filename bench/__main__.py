"""``python -m bench``: the performance table, and the same as ``bench/results.json``.

Each variant of a case runs in a process of its own, in turn, round after round, on each broker: machines are noisy, so
medians of ratios taken within a round are what to read. Pages and plans need no broker: they are timed by database.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack, closing, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bench import dead
from bench.databases import DATABASES, POSTGRESQL, Databases
from bench.table import NO_BROKER, Row, print_table, write_json
from bench.variants import capture, consume, move, publish, replay
from bench.workload import Workload, drain, preload
from tests.support.brokers import TestBroker
from tests.support.pool import BROKERS, ServerPool

RESULTS = Path(__file__).with_name("results.json")
ROOT = Path(__file__).resolve().parents[1]
WARM_UP = 5_000
"""Messages at most before the first counted round: a JVM is slow until it has seen the code run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """What is measured on a broker: its variants, how many messages, what is put into queues before and taken after."""

    name: str
    variants: Iterable[str]
    count: int
    preload: Callable[[Workload], None] | None = None
    drain: Callable[[Workload], None] | None = None


CASES = {
    case.name: case
    for case in (
        Case(name="consume", variants=tuple(consume.VARIANTS), count=20_000, preload=preload),
        Case(name="publish", variants=tuple(publish.VARIANTS), count=1_000),
        Case(name="move", variants=tuple(move.VARIANTS), count=5_000, preload=preload, drain=drain),
        Case(name="capture", variants=tuple(capture.VARIANTS), count=20_000, preload=dead.preload),
        Case(name="replay", variants=tuple(replay.VARIANTS), count=20_000, drain=drain),
    )
}

TIMED = {"pages": 50_000, "plan": 20_000}
"""What is timed on a database, and how many dead letters it holds unless ``--letters`` says otherwise."""

DATABASE_OF = {"rows-to-socket": POSTGRESQL}
"""The database a variant needs whose name does not say it."""

TIMED_LIMIT_S = 1_800.0
"""A million rows take some minutes to be made."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """What runs the variants."""

    pool: ServerPool
    databases: Databases

    def compare(self, case: Case, broker: TestBroker, rounds: int, count: int) -> Sequence[Row]:
        """Measure each variant of a case ``rounds`` times in turn, ``count`` messages each time."""
        rows = [Row(case=case.name, broker=broker.name, variant=variant) for variant in case.variants]
        for row in rows:
            self._measure(case, broker, row.variant, min(count, WARM_UP))
        for number in range(1, rounds + 1):
            for row in in_turn(rows, number):
                row.rounds.append(count / self._measure(case, broker, row.variant, count))
            told = ", ".join(f"{row.variant} {row.rounds[-1]:,.0f}/s" for row in rows)
            print(f"{case.name} on {broker.name}, round {number} of {rounds}: {told}", flush=True)
        return rows

    def _measure(self, case: Case, broker: TestBroker, variant: str, count: int) -> float:
        """Seconds one process of a variant takes for ``count`` messages."""
        queue = f"/queue/bench.{uuid.uuid4().hex[:12]}"
        work = Workload(
            host=broker.host,
            port=broker.port,
            user=broker.user,
            password=broker.password,
            queue=queue,
            target=f"{queue}.target",
            count=count,
        )
        if case.preload is not None:
            case.preload(work)
        seconds = float(self._run(case.name, variant, work.arguments(), 300.0)["seconds"])
        if case.drain is not None:
            case.drain(work)
        return seconds

    def time(self, case: str, database: str, rounds: int, letters: int) -> Sequence[Row]:
        """Milliseconds of what a case does on a database with so many dead letters, as rows of its own."""
        found = self._run(case, database, [str(rounds), str(letters)], TIMED_LIMIT_S)
        return [
            Row(case=f"{case}: {name}", broker=NO_BROKER, variant=database, rounds=[1 / seconds for seconds in timed])
            for name, timed in found["seconds"].items()
        ]

    def _run(self, module: str, variant: str, arguments: Sequence[str], limit_s: float) -> dict[str, Any]:
        """What one process of a variant tells at its end."""
        kind = DATABASE_OF.get(variant, variant)
        fresh = self.databases.fresh(kind) if kind in DATABASES else nullcontext("")
        command = [sys.executable, "-m", f"bench.variants.{module}", variant, *arguments]
        with fresh as url:
            env = {**os.environ, "DATABASE_URL": url} if url else None
            done = subprocess.run(
                command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=limit_s, check=False
            )
        if done.returncode:
            raise SystemExit(f"{variant} of {module} failed:\n{done.stdout}{done.stderr}")
        told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return told


def in_turn(rows: Sequence[Row], number: int) -> Sequence[Row]:
    """The rows in an order that moves on by one each round: going first must favour nobody."""
    first = number % len(rows)
    return [*rows[first:], *rows[:first]]


def main() -> None:
    given = _arguments()
    cases = given.case or [*CASES, *TIMED]
    rows: list[Row] = []
    with ExitStack() as stack:
        pool = stack.enter_context(closing(ServerPool()))
        bench = Bench(pool=pool, databases=stack.enter_context(closing(Databases(pool))))
        kinds = (given.broker or list(BROKERS)) if set(cases) & set(CASES) else []
        pool.prepare(kinds)
        for kind in kinds:
            for case in (CASES[name] for name in cases if name in CASES):
                rows += bench.compare(case, reached(pool, kind), given.rounds, given.count or case.count)
        for name in (name for name in cases if name in TIMED):
            for database in given.database or DATABASES:
                rows += bench.time(name, database, given.rounds, given.letters or TIMED[name])
    print_table(rows)
    write_json(rows, RESULTS)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--count", type=int, help="messages a round, in place of each case's own")
    parser.add_argument("--letters", type=int, help="dead letters in the database that pages and plans are timed on")
    parser.add_argument("--case", choices=sorted([*CASES, *TIMED]), action="append", help="only this one")
    parser.add_argument("--broker", choices=sorted(BROKERS), action="append", help="only this one")
    parser.add_argument("--database", choices=DATABASES, action="append", help="pages and plans on this one only")
    return parser.parse_args()


def reached(pool: ServerPool, kind: str) -> TestBroker:
    """A broker of the pool; a missing one ends the benchmark with its reason."""
    try:
        return pool.broker(kind)
    except (pytest.skip.Exception, pytest.fail.Exception) as missing:
        raise SystemExit(f"{missing}; name others with --broker") from None


if __name__ == "__main__":
    main()

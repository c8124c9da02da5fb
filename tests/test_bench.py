"""The benchmark runs: its figures are for people, that it gives some is for us."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from bench import __main__ as bench
from bench import table
from bench.databases import DATABASES, Databases
from bench.table import Row
from tests.support.brokers import TestBroker
from tests.support.pool import ServerPool


@pytest.fixture
def measuring() -> Iterator[bench.Bench]:
    with closing(ServerPool()) as pool, closing(Databases(pool)) as databases:
        yield bench.Bench(pool=pool, databases=databases)


@pytest.mark.slow
@pytest.mark.parametrize("name", list(bench.CASES))
def test_each_variant_of_a_case_gives_a_figure_and_the_table_is_written(
    name: str,
    rabbitmq: TestBroker,
    measuring: bench.Bench,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(bench, "WARM_UP", 50)
    case = bench.CASES[name]
    found = measuring.compare(case, rabbitmq, rounds=1, count=100)
    table.print_table(found)
    table.write_json(found, tmp_path / "results.json")
    rows = json.loads((tmp_path / "results.json").read_text())["rows"]
    assert {row["variant"] for row in rows} == set(case.variants)
    assert all(row["per_second"] > 0 for row in rows)
    assert all(variant in capsys.readouterr().out for variant in list(case.variants)[:1])


@pytest.mark.slow
@pytest.mark.parametrize("database", DATABASES)
@pytest.mark.parametrize("name", list(bench.TIMED))
def test_what_is_timed_on_a_database_gives_a_figure_for_each_page_and_step(
    name: str, database: str, measuring: bench.Bench
) -> None:
    rows = measuring.time(name, database, rounds=1, letters=2_000)
    assert rows
    assert all(row.per_second > 0 for row in rows)


def test_a_figure_is_compared_with_what_was_measured_beside_it_round_by_round() -> None:
    ours = Row(case="replay", broker="rabbitmq", variant="sqlite", rounds=[50.0, 90.0, 10.0])
    raw = Row(case="replay", broker="rabbitmq", variant="raw-socket", rounds=[100.0, 100.0, 100.0])
    elsewhere = Row(case="replay", broker="artemis", variant="raw-socket", rounds=[1.0, 1.0, 1.0])
    alone = Row(case="capture", broker="rabbitmq", variant="sqlite", rounds=[50.0])
    rows = [ours, raw, elsewhere, alone]
    assert table.ratio(ours, rows) == (0.5, "raw-socket")
    assert table.ratio(alone, rows) is None

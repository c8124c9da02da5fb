"""The benchmark runs: its figures are for people, that it gives some is for us."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench import __main__ as bench
from tests.support.brokers import TestBroker


@pytest.mark.slow
@pytest.mark.parametrize("name", list(bench.CASES))
def test_each_variant_of_a_case_gives_a_figure_and_the_table_is_written(
    name: str,
    rabbitmq: TestBroker,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(bench, "WARM_UP", 50)
    monkeypatch.setattr(bench, "RESULTS", tmp_path / "results.json")
    case = bench.CASES[name]
    bench.report(list(bench.compare(case, rabbitmq, rounds=1, count=100)))
    rows = json.loads((tmp_path / "results.json").read_text())["rows"]
    assert {row["variant"] for row in rows} == set(case.variants)
    assert all(row["per_second"] > 0 for row in rows)
    assert "stompconsole" in capsys.readouterr().out

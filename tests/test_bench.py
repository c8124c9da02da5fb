"""The benchmark runs: its figures are for people, that it gives some is for us."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench import __main__ as bench
from bench.variants import VARIANTS
from tests.support.brokers import TestBroker


@pytest.mark.slow
def test_each_variant_drains_a_queue_and_the_table_is_written(
    rabbitmq: TestBroker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(bench, "WARM_UP", 100)
    monkeypatch.setattr(bench, "RESULTS", tmp_path / "results.json")
    bench.report(list(bench.consume(rabbitmq, rounds=1, count=200)))
    rows = json.loads((tmp_path / "results.json").read_text())["rows"]
    assert {row["variant"] for row in rows} == set(VARIANTS)
    assert all(row["per_second"] > 0 for row in rows)
    assert "stompconsole" in capsys.readouterr().out

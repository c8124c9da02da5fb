"""How numbers, times, sizes and drawings come out."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stompconsole.dashboard import drawing, formats
from stompconsole.metrics.quantiles import Quantile

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("per_second", "words"),
    [
        (None, formats.NONE),
        (0, formats.NONE),
        (0.01, "<0.1"),
        (0.14, "0.1"),
        (3.14, "3.1"),
        (9.97, "10"),
        (412.4, "412"),
        (12_345.6, "12,346"),
    ],
)
def test_rates(per_second: float | None, words: str) -> None:
    assert formats.rate(per_second) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.4, "just now"), (1, "1 s ago"), (59.9, "59 s ago"), (60, "1 min ago"), (3599, "59 min ago"),
        (3600, "1 h ago"), (86_400, "24 h ago"), (2 * 86_400, "2 d ago"), (400 * 86_400, "400 d ago"),
        (-0.5, "just now"), (-120, "in 2 min"),
    ],
)  # fmt: skip
def test_times_are_told_relative_to_now(seconds: float, words: str) -> None:
    assert formats.ago(NOW - timedelta(seconds=seconds), NOW) == words


@pytest.mark.parametrize(
    ("count", "words"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KB"),
        (1_234_567, "1.2 MB"),
        (200 * 1024**3, "200 GB"),
        (5 * 1024**5, "5,120 TB"),
    ],
)
def test_sizes(count: int, words: str) -> None:
    assert formats.size(count) == words


def test_handler_times_are_in_milliseconds_until_they_take_seconds() -> None:
    def times(p50: float, p95: float, *, beyond: bool = False) -> str:
        return formats.handler_times(Quantile(seconds=p50), Quantile(seconds=p95, beyond=beyond))

    assert times(0.0004, 0.031) == "0.4 / 31"
    assert times(0.5, 9.9) == "500 / 9,900"
    assert times(7.5, 42.94) == "7.5 / 42.9 s"
    assert times(7.5, 60, beyond=True) == "7.5 / >60.0 s"
    assert formats.handler_times(None, None) == formats.NONE


def test_plurals() -> None:
    assert formats.plural(1, "message") == "1 message"
    assert formats.plural(1_200, "entry", "entries") == "1,200 entries"


def test_a_flat_line_is_drawn_quietly() -> None:
    assert "flat" in drawing.spark([0, 0, 0], "in")
    assert 'aria-label="in: nothing"' in drawing.spark([0, 0, 0], "in")


@given(st.lists(st.floats(min_value=0, max_value=1e7), min_size=1, max_size=100))
def test_a_line_stays_inside_its_box(values: list[float]) -> None:
    points = drawing.path(values, 100, 20, max(*values, 0.5) if len(values) > 1 else max(values[0], 0.5))
    for point in points.removeprefix("M").split("L"):
        x, y = map(float, point.split())
        assert 0 <= x <= 100
        assert 0 <= y <= 20


@given(st.floats(min_value=0, max_value=1e9))
def test_the_scale_of_a_chart_is_round_and_holds_the_highest_value(highest: float) -> None:
    top = drawing.chart_top([0, highest])
    assert highest <= top <= max(1, highest * 2)


def test_a_split_bar_holds_its_parts_one_after_the_other() -> None:
    bar = drawing.split_bar([("processed", 1), ("failed", 3)], 8)
    assert '<rect class="processed" x="0.0" width="125.0"' in bar
    assert '<rect class="failed" x="125.0" width="375.0"' in bar
    assert "width" in drawing.split_bar([("processed", 0)], 0)


@pytest.mark.parametrize(
    ("seconds", "words"), [(None, formats.NONE), (0.0002, "<1 ms"), (0.0124, "12 ms"), (1.24, "1.2 s"), (75, "75.0 s")]
)
def test_how_long_a_call_took(seconds: float | None, words: str) -> None:
    assert formats.took(seconds) == words

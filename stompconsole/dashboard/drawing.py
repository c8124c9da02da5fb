"""Sparklines, bars and charts as inline SVG. Sizes stand in attributes: a strict CSP refuses style attributes."""

from __future__ import annotations

from collections.abc import Sequence

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

SPARK_WIDTH = 112
SPARK_HEIGHT = 28
CHART_WIDTH = 1000
CHART_HEIGHT = 160
_PAD = 2
_ROUND = (1, 2, 3, 4, 6, 8, 10)
_QUIET_SCALE = 0.5
"""A line never fills its box for less than this many messages a second."""


def spark(values: Sequence[float], label: str, *, unit: str = "a second") -> SafeString:
    """A filled line over its own scale. ``label`` says to a screen reader what it shows, ``unit`` of what it is so
    many."""
    if not any(values):
        return format_html(
            '<svg class="spark flat" viewBox="0 0 {w} {h}" role="img" aria-label="{label}: nothing">'
            '<path class="line" d="M0 {y}H{w}"/></svg>',
            w=SPARK_WIDTH,
            h=SPARK_HEIGHT,
            y=SPARK_HEIGHT - _PAD,
            label=label,
        )
    line = path(values, SPARK_WIDTH, SPARK_HEIGHT, max(*values, _QUIET_SCALE))
    return format_html(
        '<svg class="spark" viewBox="0 0 {w} {h}" role="img" aria-label="{label}, at most {top} {unit}">'
        '<path class="area" d="{line}V{h}H0Z"/><path class="line" d="{line}"/></svg>',
        w=SPARK_WIDTH,
        h=SPARK_HEIGHT,
        label=label,
        top=f"{max(values):.1f}".removesuffix(".0") if unit != "a second" else f"{max(values):.1f}",
        unit=unit,
        line=line,
    )


def path(values: Sequence[float], width: float, height: float, top: float) -> str:
    """The ``d`` of a line through ``values``, left to right, ``top`` at the upper edge."""
    step = width / max(1, len(values) - 1)
    points = (
        f"{index * step:.1f} {height - _PAD - value / top * (height - 2 * _PAD):.1f}"
        for index, value in enumerate(values)
    )
    return "M" + "L".join(points)


def chart(acked: Sequence[float], failed: Sequence[float], label: str) -> SafeString:
    """Two lines on one scale with grid lines; the words of the axes are the template's."""
    top = chart_top(acked, failed)
    grid = format_html_join(
        "",
        '<path class="grid" d="M0 {}H{}"/>',
        ((f"{_PAD + share * (CHART_HEIGHT - 2 * _PAD):.1f}", CHART_WIDTH) for share in (0, 0.25, 0.5, 0.75, 1)),
    )
    return format_html(
        '<svg class="chart" viewBox="0 0 {w} {h}" preserveAspectRatio="none" role="img" aria-label="{label}">{grid}'
        '<path class="area" d="{acked}V{h}H0Z"/><path class="line" d="{acked}"/>'
        '<path class="line failed" d="{failed}"/></svg>',
        w=CHART_WIDTH,
        h=CHART_HEIGHT,
        label=label,
        grid=grid,
        acked=path(acked, CHART_WIDTH, CHART_HEIGHT, top),
        failed=path(failed, CHART_WIDTH, CHART_HEIGHT, top),
    )


def chart_top(*lines: Sequence[float]) -> float:
    """The upper edge of a chart's scale: a round number not far above the highest value."""
    highest = max((value for line in lines for value in line), default=0.0)
    power = 1.0
    while power * _ROUND[-1] < highest:
        power *= 10
    return next(power * step for step in _ROUND if power * step >= highest)


def meter(share: float) -> SafeString:
    """A bar that is full at 1."""
    return format_html(
        '<svg class="meter" viewBox="0 0 100 6" preserveAspectRatio="none" aria-hidden="true">'
        '<rect class="fill" width="{}" height="6"/></svg>',
        f"{100 * min(1.0, max(0.0, share)):.0f}",
    )


def split_bar(parts: Sequence[tuple[str, int]], total: int) -> SafeString:
    """One bar of (class, count) parts out of ``total``; the rest stays empty."""
    rects: list[tuple[str, str, str]] = []
    left = 0.0
    for name, count in parts:
        width = 1000 * count / total if total else 0
        rects.append((name, f"{left:.1f}", f"{width:.1f}"))
        left += width
    return format_html(
        '<svg class="split" viewBox="0 0 1000 14" preserveAspectRatio="none" aria-hidden="true">{}</svg>',
        format_html_join("", '<rect class="{}" x="{}" width="{}" height="14"/>', rects),
    )

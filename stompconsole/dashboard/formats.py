"""How numbers, times and sizes read on the pages. One way for each; a dash for none."""

from __future__ import annotations

from datetime import UTC, datetime

from stompconsole.metrics.quantiles import Quantile

NONE = "\N{EN DASH}"

_SECONDS_OF = (("d", 86_400.0), ("h", 3_600.0), ("min", 60.0), ("s", 1.0))
_SIZES = ("KB", "MB", "GB", "TB")


def number(value: int | None) -> str:
    """``98522`` -> ``98,522``."""
    return NONE if value is None else f"{value:,}"


def rate(per_second: float | None) -> str:
    """Messages a second: one decimal below ten, none above; a dash for nothing at all."""
    if not per_second:
        return NONE
    if per_second < 0.1:
        return "<0.1"
    return f"{per_second:.1f}" if per_second < 9.95 else f"{per_second:,.0f}"


def span(seconds: float) -> str:
    """A length of time in its largest unit: ``12 s``, ``3 min``, ``2 h``, ``4 d``."""
    whole = max(0.0, seconds)
    unit, size = next(((unit, size) for unit, size in _SECONDS_OF if whole >= size), ("s", 1.0))
    # A day and a half is said in hours: "1 d" would hide half of it.
    if unit == "d" and whole < 2 * size:
        unit, size = "h", 3_600.0
    return f"{int(whole // size)} {unit}"


def took(seconds: float | None) -> str:
    """How long a call took: ``<1 ms``, ``12 ms``, ``1.2 s``."""
    if seconds is None:
        return NONE
    if seconds < 0.001:
        return "<1 ms"
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"


def long_span(seconds: float) -> str:
    """The same in a sentence: ``7 days``."""
    return plural(int(seconds // 86_400), "day") if seconds >= 2 * 86_400 else span(seconds)


def ago(then: datetime, now: datetime) -> str:
    """``2 min ago``; ``in 3 h`` for what is to come. The script ticks it in the same words."""
    seconds = (now - then).total_seconds()
    if seconds < -1:
        return f"in {span(-seconds)}"
    return "just now" if seconds < 1 else f"{span(seconds)} ago"


def exact(then: datetime) -> str:
    """To the second, in UTC; the script puts it into the viewer's zone."""
    return then.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def size(count: int) -> str:
    """Bytes in the largest unit: ``412 B``, ``1.2 KB``."""
    if count < 1024:
        return f"{count} B"
    amount = float(count)
    for unit in _SIZES:
        amount /= 1024
        if amount < 1024 or unit == _SIZES[-1]:
            break
    return f"{amount:.1f} {unit}" if amount < 100 else f"{amount:,.0f} {unit}"


def handler_times(p50: Quantile | None, p95: Quantile | None) -> str:
    """Two quantiles in milliseconds, ``4 / 31``; in seconds when the slower one has ten or more."""
    if p50 is None or p95 is None:
        return NONE
    if p95.seconds >= 10:
        return f"{_seconds(p50)} / {_seconds(p95)} s"
    return f"{_milliseconds(p50)} / {_milliseconds(p95)}"


def plural(count: int, one: str, many: str = "") -> str:
    """``1 message``, ``1,204 messages``."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def _milliseconds(value: Quantile) -> str:
    ms = value.seconds * 1000
    return f"{ms:.1f}" if ms < 1 else f"{ms:,.0f}"


def _seconds(value: Quantile) -> str:
    return f"{'>' if value.beyond else ''}{value.seconds:.1f}"

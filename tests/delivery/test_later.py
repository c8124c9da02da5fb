"""Long retry steps as they are typed."""

from __future__ import annotations

import pytest

from stompconsole.delivery.later import MAX_STEPS, steps_of
from stompconsole.errors import ConfigurationError


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("", ()),
        ("5m, 1h, 6h", (300.0, 3_600.0, 21_600.0)),
        ("30s 1d", (30.0, 86_400.0)),
        (" 90s,,2m ,", (90.0, 120.0)),
        ("366d", (366 * 86_400.0,)),
    ],
)
def test_steps_are_read_in_their_order(text: str, seconds: tuple[float, ...]) -> None:
    assert steps_of(text) == seconds


@pytest.mark.parametrize(
    "word",
    ["5", "m", "5 m", "0m", "-1h", "1.5h", "1w", "5M", "367d", "\N{ARABIC-INDIC DIGIT FIVE}m", "999999999d", "1h;2h"],
)
def test_what_is_no_step_is_said_with_what_is_one(word: str) -> None:
    with pytest.raises(ConfigurationError, match=r"is no step: .*(such as 30s, 5m, 6h or 1d|up to 366d)"):
        steps_of(f"5m, {word}")


def test_more_steps_than_anybody_means_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="21 steps are too many"):
        steps_of("1h " * (MAX_STEPS + 1))

"""The spans of time a page can show, and the buckets each is read from."""

from __future__ import annotations

import enum
from datetime import datetime, timedelta

from stompconsole.metrics.buckets import start_of


class Span(enum.StrEnum):
    """How far back a page looks. The value is what stands in the URL."""

    MINUTE = "1m"
    QUARTER = "15m"
    HOUR = "1h"
    DAY = "24h"

    @classmethod
    def from_text(cls, text: str) -> Span:
        """The span a URL asks for; 15 minutes when it makes no sense."""
        return next((span for span in cls if span.value == text), cls.QUARTER)

    @property
    def label(self) -> str:
        """As on a switch: ``15 m``."""
        return f"{self.value[:-1]} {self.value[-1]}"

    @property
    def words(self) -> str:
        """As in a sentence: ``15 minutes``."""
        return _WORDS[self]

    @property
    def width_s(self) -> int:
        """Width of its buckets, in seconds."""
        return _SHAPES[self][0]

    @property
    def points(self) -> int:
        """How many buckets it has."""
        return _SHAPES[self][1]

    def first_bucket(self, now: datetime) -> datetime:
        """Start of its oldest bucket; the newest is the one ``now`` is in."""
        return start_of(now, self.width_s) - timedelta(seconds=self.width_s * (self.points - 1))


_WORDS = {Span.MINUTE: "minute", Span.QUARTER: "15 minutes", Span.HOUR: "hour", Span.DAY: "24 hours"}
_SHAPES = {Span.MINUTE: (10, 7), Span.QUARTER: (10, 90), Span.HOUR: (60, 60), Span.DAY: (3600, 24)}

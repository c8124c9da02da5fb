"""What an open page looks at, as it stands in the URL of its stream. Equal topics are rendered once."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from urllib.parse import urlencode

from stompconsole.dashboard.formdata import moment_from
from stompconsole.deadletters.selection import Filters
from stompconsole.metrics.spans import Span


class Page(enum.StrEnum):
    """The pages that stay current while they are open."""

    OVERVIEW = "overview"
    CONSUMER = "consumer"
    DEAD_LETTERS = "dead-letters"
    DEAD_LETTER = "dead-letter"
    REPLAYS = "replays"
    REPLAY = "replay"
    TRIAL = "trial"
    WORKERS = "workers"


@dataclass(frozen=True, slots=True, kw_only=True)
class Topic:
    """One page's view of the system. ``subject`` is a name or id; ``since`` is the newest row it was made of."""

    page: Page
    span: Span = Span.QUARTER
    subject: str = ""
    filters: Filters = field(default_factory=Filters)
    since: datetime | None = None

    @classmethod
    def from_query(cls, query: Mapping[str, str]) -> Topic | None:
        """From the query of a stream's URL; None when there is no such page."""
        page = next((page for page in Page if page.value == query.get("page")), None)
        if page is None:
            return None
        return cls(
            page=page,
            span=Span.from_text(query.get("range", "")),
            subject=query.get("subject", "").replace("\0", "")[:200],
            filters=Filters.from_query(query) if page in _WITH_FILTERS else Filters(),
            since=moment_from(query.get("since", "")),
        )

    def query_string(self) -> str:
        """As the query of a stream's URL."""
        own = {
            "page": self.page.value,
            "range": self.span.value if self.span is not Span.QUARTER else "",
            "subject": self.subject,
            "since": self.since.isoformat() if self.since else "",
        }
        parts = [urlencode({name: value for name, value in own.items() if value}), self.filters.query_string()]
        return "&".join(part for part in parts if part)


_WITH_FILTERS = frozenset({Page.DEAD_LETTERS, Page.CONSUMER})

"""What an operator chose, as a form sends it: dead letters by id, or all that match filters.

Owns the reading of the form and how a choice travels in a URL. A bad id is dropped: it can only make a choice smaller.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from datetime import datetime
from urllib.parse import urlencode

from django.db.models import QuerySet
from django.http import QueryDict

from stompconsole.dashboard.formdata import count_from, moment_from, texts
from stompconsole.deadletters.filters import frozen_of
from stompconsole.deadletters.selection import Filters, Preview, preview, preview_of
from stompconsole.models import DeadLetter, DeadLetterState

MATCHING = "matching"
MAX_IDS = 500
"""Ids one form can name; whole lists are chosen by their filter."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Dead letters chosen one by one (``ids``), or all that match ``filters`` when ``matching``."""

    ids: tuple[uuid.UUID, ...] = ()
    filters: Filters = field(default_factory=Filters)
    matching: bool = False

    @classmethod
    def from_query(cls, query: QueryDict) -> Choice:
        """From the query of a URL or a form's data."""
        if query.get("scope") == MATCHING:
            return cls(filters=Filters.from_query(texts(query)), matching=True)
        ids = dict.fromkeys(found for text in query.getlist("id")[:MAX_IDS] if (found := _uuid(text)) is not None)
        return cls(ids=tuple(ids), filters=Filters.from_query(texts(query)))

    @property
    def empty(self) -> bool:
        """Whether nothing was chosen at all."""
        return not self.matching and not self.ids

    def query_string(self) -> str:
        """As the query of a URL."""
        if self.matching:
            return "&".join(filter(None, (urlencode({"scope": MATCHING}), self.filters.query_string())))
        return urlencode([("id", str(pk)) for pk in self.ids])

    def fields(self) -> list[tuple[str, str]]:
        """As hidden fields of a form."""
        return [(name, value) for name, values in QueryDict(self.query_string()).lists() for value in values]

    def preview(self, state: DeadLetterState = DeadLetterState.DEAD) -> Preview:
        """What it amounts to now, of what is in ``state``."""
        return preview(self.filters, state) if self.matching else preview_of(list(self.ids), state)

    def rows(self, as_of: datetime) -> QuerySet[DeadLetter]:
        """The dead letters it was at ``as_of`` and still is."""
        return self.filters.frozen(as_of) if self.matching else frozen_of(list(self.ids), as_of)


@dataclass(frozen=True, slots=True, kw_only=True)
class Confirmed:
    """What a confirm page had counted, and when: nothing beyond it is touched."""

    as_of: datetime
    count: int

    @classmethod
    def from_query(cls, query: QueryDict) -> Confirmed | None:
        """From the form of the confirm page; None when it does not come from one."""
        as_of, count = moment_from(query.get("as_of", "")), count_from(query.get("count", ""))
        return cls(as_of=as_of, count=count) if as_of is not None and count is not None else None


def _uuid(text: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(text)
    except ValueError:
        return None

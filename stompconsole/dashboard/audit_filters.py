"""What entries of the audit are looked for, as it stands in a URL. What makes no sense finds nothing and is told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from urllib.parse import urlencode

from stompconsole.deadletters.filters import moment

MAX_TEXT = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditFilters:
    """An empty field does not filter. ``after`` and ``before`` as ISO 8601, or a span back from now such as ``7d``."""

    text: str = ""
    consumer: str = ""
    action: str = ""
    who: str = ""
    after: str = ""
    before: str = ""
    replay: str = ""

    @classmethod
    def from_query(cls, query: Mapping[str, str]) -> AuditFilters:
        """From ``request.GET``; other names are ignored. The times are ``since`` and ``until`` there: a page's position
        is called ``before`` and ``after``."""
        names = {
            "text": "text",
            "consumer": "consumer",
            "action": "action",
            "who": "who",
            "since": "after",
            "until": "before",
            "replay": "replay",
        }
        return cls(**{field: query.get(name, "").strip()[:MAX_TEXT] for name, field in names.items()})

    def query_string(self) -> str:
        """As a URL's query."""
        return urlencode({_name(field): value for field, value in asdict(self).items() if value})

    @property
    def after_at(self) -> datetime | None:
        """The earliest time, None for no bound."""
        return moment(self.after) if self.after else None

    @property
    def before_at(self) -> datetime | None:
        """The time before which."""
        return moment(self.before) if self.before else None

    @property
    def problems(self) -> list[str]:
        """What can't be read, a sentence each."""
        replay = [f"replay {self.replay!r} is no number."] if self.replay and not _is_id(self.replay) else []
        return replay + [
            f"{text!r} is no time: write 2026-11-23, 2026-11-23T14:00, or 90m, 24h, 7d back."
            for text, at in ((self.after, self.after_at), (self.before, self.before_at))
            if text and at is None
        ]


def _name(field: str) -> str:
    return {"after": "since", "before": "until"}.get(field, field)


def _is_id(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 19

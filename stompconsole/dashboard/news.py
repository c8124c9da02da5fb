"""Dead letters that came after a page was made: told, never pushed in between its rows."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from django.urls import reverse
from django.utils.html import format_html

from stompconsole.dashboard import formats
from stompconsole.dashboard.stream.topics import Page, Topic
from stompconsole.models import DeadLetter, DeadLetterState

MOST = 1_000
"""More new ones than this are not counted out."""


def news(topic: Topic) -> str:
    """``7 new, show`` with a link to the page as it is now; empty when nothing is new. One query."""
    if topic.since is None:
        return ""
    rows = topic.filters.queryset().filter(failed_at__gt=topic.since)
    if not topic.filters.state:
        rows = rows.filter(state=DeadLetterState.DEAD)
    count = rows.order_by()[: MOST + 1].count()
    if not count:
        return ""
    words = f"more than {MOST:,}" if count > MOST else formats.number(count)
    return format_html('<a class="news" href="{}">{} new, show</a>', _page_of(topic), words)


def newest(rows: Sequence[DeadLetter]) -> datetime:
    """What the news of a page that shows ``rows``, newest first, starts from."""
    return rows[0].failed_at if rows else datetime.fromtimestamp(0, tz=UTC)


def _page_of(topic: Topic) -> str:
    if topic.page is Page.CONSUMER:
        return f"{reverse('stompconsole:consumer', args=[topic.subject])}?range={topic.span}"
    return f"{reverse('stompconsole:dead-letters')}?{topic.filters.query_string()}"

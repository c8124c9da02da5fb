"""Renders topics to fragments: each page's own functions, over rows read once a tick."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta

from django.db import DatabaseError, connections
from django.db.models import Q
from django.utils import timezone

from stompconsole.dashboard import consumer_page, overview, progress, trials_page
from stompconsole.dashboard.events import last_events
from stompconsole.dashboard.letter import page as letter_page
from stompconsole.dashboard.news import news
from stompconsole.dashboard.stream.fragments import Fragments
from stompconsole.dashboard.stream.topics import Page, Topic
from stompconsole.dashboard.tiles import replays_now, tiles
from stompconsole.dashboard.workers_page import workers_fragments
from stompconsole.metrics.lines import Live
from stompconsole.metrics.queries import DeadLetterCounts, live
from stompconsole.metrics.series import Window
from stompconsole.metrics.spans import Span
from stompconsole.models import Replay

JUST_ENDED = timedelta(minutes=10)


class PageRenderer:
    """Renders for all open pages of a process, from one thread. Keeps the windows of the spans that are looked at."""

    def __init__(self) -> None:
        self._windows: dict[Span, Window] = {}
        self._dead = DeadLetterCounts()

    def render(self, topics: Iterable[Topic]) -> Mapping[Topic, Fragments]:
        """Each topic once; what they share is read once."""
        tick = _Tick(self._windows, self._dead)
        try:
            return {topic: tick.fragments(topic) for topic in topics}
        except DatabaseError:
            # The connection may be dead for good; the next tick opens its own.
            self.close()
            raise

    def close(self) -> None:
        """Give the connection back."""
        connections.close_all()


class _Tick:
    """One tick: what was read for one topic serves the next."""

    def __init__(self, windows: dict[Span, Window], dead: DeadLetterCounts) -> None:
        self._windows = windows
        self._dead = dead
        self._live: dict[Span, Live] = {}

    def fragments(self, topic: Topic) -> Fragments:
        render: Callable[[Topic], Fragments]
        match topic.page:
            case Page.OVERVIEW:
                render = self._of_overview
            case Page.CONSUMER:
                render = self._of_consumer
            case Page.DEAD_LETTERS:
                render = _of_dead_letters
            case Page.DEAD_LETTER:
                render = _of_dead_letter
            case Page.REPLAYS:
                render = _of_replays
            case Page.REPLAY:
                render = _of_replay
            case Page.TRIAL:
                render = _of_trial
            case Page.WORKERS:
                render = _of_workers
        return render(topic)

    def _of_overview(self, topic: Topic) -> Fragments:
        now = self._now(topic.span)
        return overview.fragments(now, topic.span, tiles(now, replays_now()), last_events())

    def _of_consumer(self, topic: Topic) -> Fragments:
        now = self._now(topic.span)
        line = now.consumer(topic.subject)
        return {} if line is None else consumer_page.fragments(now, line, topic)

    def _now(self, span: Span) -> Live:
        if span not in self._live:
            self._live[span] = live(self._windows.setdefault(span, Window(span)), self._dead)
        return self._live[span]


def _of_dead_letters(topic: Topic) -> Fragments:
    return {"news": news(topic)}


def _of_dead_letter(topic: Topic) -> Fragments:
    return letter_page.fragments(topic.subject)


def _of_replays(_topic: Topic) -> Fragments:
    now = timezone.now()
    # Those that have just ended too: their last change has to reach the page.
    rows = Replay.objects.filter(Q(state__in=progress.UNDER_WAY) | Q(finished_at__gt=now - JUST_ENDED))
    return {f"replay-{row.replay.pk}": progress.summary_html(row, now) for row in progress.progress_of_all(rows, now)}


def _of_replay(topic: Topic) -> Fragments:
    row = Replay.objects.filter(pk=int(topic.subject)).first() if topic.subject.isdecimal() else None
    now = timezone.now()
    return {} if row is None else progress.fragments(progress.progress_of(row, now), now)


def _of_trial(topic: Topic) -> Fragments:
    return trials_page.of_topic(topic.subject)


def _of_workers(_topic: Topic) -> Fragments:
    return workers_fragments()


def render_once(topic: Topic) -> Fragments:
    """The fragments of one topic, for a client that polls."""
    return _Tick({}, DeadLetterCounts()).fragments(topic)

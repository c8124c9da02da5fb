"""How a replay goes: counts by outcome, rate, time left, and the sentence with its result."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Count
from django.template.loader import render_to_string
from django.utils.html import format_html
from django.utils.safestring import SafeString

from stompconsole.dashboard import formats
from stompconsole.dashboard.drawing import split_bar
from stompconsole.dashboard.paging import NOT_IN_LISTS
from stompconsole.dashboard.stream.fragments import Fragments
from stompconsole.deadletters.outcomes import to_freeze
from stompconsole.deadletters.plans import Plan
from stompconsole.metrics import queries
from stompconsole.models import (
    Consumer,
    Replay,
    ReplayItem,
    ReplayItemState,
    ReplayState,
    Subscription,
    open_breakers,
)

ITEMS_SHOWN = 20
RATE_OVER = timedelta(seconds=10)
UNDER_WAY = (ReplayState.WAITING, ReplayState.RUNNING)
RESTING = (ReplayState.PAUSED, ReplayState.STOPPED)
DOUBTFUL_SHOWN = 50
NO_WORKER = "no worker is running. Start one with python manage.py runworker stomp"


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """A replay and its items counted by state. ``per_s`` is the rate of sending over the last seconds; ``to_freeze``
    are those of a large choice that are not items yet, and are among ``waiting``; ``has_worker`` says whether there is
    any that could carry it out."""

    replay: Replay
    waiting: int
    sent: int
    processed: int
    failed_again: int
    skipped: int
    per_s: float
    to_freeze: int = 0
    has_worker: bool = True

    @property
    def total(self) -> int:
        """Items it was frozen to."""
        return self.replay.total

    @property
    def under_way(self) -> bool:
        """Whether it is sent, or about to be."""
        return self.replay.state in UNDER_WAY

    @property
    def unfinished(self) -> bool:
        """Whether it can still be cancelled."""
        return self.under_way or self.replay.state in RESTING

    @property
    def pending(self) -> bool:
        """Whether anything of it is still open."""
        return self.unfinished or self.sent > 0

    @property
    def bar(self) -> SafeString:
        """One bar in four parts."""
        parts = [
            ("processed", self.processed),
            ("failed", self.failed_again),
            ("sent", self.sent),
            ("skipped", self.skipped),
        ]
        return split_bar(parts, self.total)

    @property
    def obstacle(self) -> str:
        """What it waits for, "" while it gets on."""
        return (self.replay.note or ("" if self.has_worker else NO_WORKER)) if self.under_way else ""

    @property
    def pace(self) -> str:
        """``198/s · about 5 min left`` while it sends, how far it is while it is frozen, "" otherwise."""
        if self.under_way and self.to_freeze and not self.obstacle:
            return f"{self.total - self.to_freeze:,} of {self.total:,} set aside for it so far"
        if not self.under_way or not self.per_s or self.obstacle:
            return ""
        left = f" · about {formats.span(self.waiting / self.per_s)} left" if self.waiting else ""
        return f"{formats.rate(self.per_s)}/s{left}"

    @property
    def sentence(self) -> str:
        """The result so far in one sentence that can be passed on."""
        parts = [f"{self.processed:,} of {formats.plural(self.total, 'message')} processed"]
        parts += [f"{self.failed_again:,} failed again"] if self.failed_again else []
        parts += [f"{self.sent:,} sent and not yet handled"] if self.sent else []
        parts += [f"{self.skipped:,} skipped"] if self.skipped else []
        parts += [f"{self.waiting:,} still to send"] if self.waiting else []
        return f"{', '.join(parts)}."


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """Items of a replay that share what went wrong."""

    words: str
    count: int


def progress_of(replay: Replay, now: datetime) -> Progress:
    """The progress of one replay. Three queries at most."""
    return progress_of_all([replay], now)[0]


def progress_of_all(replays: Iterable[Replay], now: datetime) -> list[Progress]:
    """The progress of several, in the same queries."""
    rows = list(replays)
    items = ReplayItem.objects.filter(replay__in=rows)
    going = ReplayItem.objects.filter(replay__in=[row for row in rows if row.state in UNDER_WAY])
    states = items.order_by().values_list("replay_id", "state").annotate(count=Count("pk"))
    recent = going.filter(sent_at__gt=now - RATE_OVER).order_by().values_list("replay_id").annotate(count=Count("pk"))
    counts = {(replay_id, state): count for replay_id, state, count in states}
    just_sent = dict(recent)
    has_worker = not any(row.state in UNDER_WAY for row in rows) or queries.has_worker()
    return [_progress(row, counts, just_sent.get(row.pk, 0), now, has_worker=has_worker) for row in rows]


def _progress(
    row: Replay, counts: Mapping[tuple[int, str], int], just_sent: int, now: datetime, *, has_worker: bool
) -> Progress:
    def of(state: ReplayItemState) -> int:
        return counts.get((row.pk, state), 0)

    lived = max(1.0, (now - row.created_at).total_seconds())
    left = to_freeze(row, sum(map(of, ReplayItemState)))
    return Progress(
        replay=row,
        waiting=of(ReplayItemState.WAITING) + left,
        sent=of(ReplayItemState.SENT),
        processed=of(ReplayItemState.PROCESSED),
        failed_again=of(ReplayItemState.FAILED_AGAIN),
        skipped=of(ReplayItemState.SKIPPED),
        per_s=just_sent / min(lived, RATE_OVER.total_seconds()),
        to_freeze=left,
        has_worker=has_worker,
    )


def failures(replay: Replay) -> list[Trouble]:
    """What failed again, by error, most first."""
    failed = replay.items.filter(state=ReplayItemState.FAILED_AGAIN)
    return _grouped(failed.values_list("dead_letter__error_type").annotate(count=Count("pk")), "no error was told")


def skips(replay: Replay) -> list[Trouble]:
    """What was skipped, by reason, most first."""
    skipped = replay.items.filter(state=ReplayItemState.SKIPPED)
    return _grouped(skipped.values_list("note").annotate(count=Count("pk")), "no reason was told")


def doubts(replay: Replay) -> list[Trouble]:
    """What is not certain of messages that were sent, or are to be, by what is said of it."""
    said = replay.items.exclude(note="").exclude(state=ReplayItemState.SKIPPED)
    return _grouped(said.values_list("note").annotate(count=Count("pk")), "")


def _grouped(rows: Iterable[tuple[str, int]], unnamed: str) -> list[Trouble]:
    found = [Trouble(words=words or unnamed, count=count) for words, count in rows]
    return sorted(found, key=lambda trouble: (-trouble.count, trouble.words))[:20]


def fragments(progress: Progress, now: datetime) -> Fragments:
    """All of a replay's page that changes. Five queries more."""
    return {
        f"replay-{progress.replay.pk}": summary_html(progress, now),
        "troubles": troubles_html(progress),
        "items": items_html(progress.replay),
        "sentence": progress.sentence,
        "doubtful": doubtful_html(progress.replay),
        "replay-state": state_html(progress),
    }


def state_html(progress: Progress) -> SafeString:
    """What decides which controls are there: forms that are open keep what is typed into them."""
    words = [
        *(["data-going"] if progress.under_way else []),
        *(["data-resting"] if progress.replay.state in RESTING else []),
        *(["data-canary"] if progress.unfinished and progress.replay.canary else []),
    ]
    return format_html("<i hidden {}></i>", SafeString(" ".join(words)))


def plan_of(replay: Replay) -> str:
    """The plan it goes by, in words; "" for everything at once."""
    return Plan(
        destination=replay.destination,
        unknown_to=replay.unknown_to,
        rate=replay.rate,
        canary=tuple(replay.canary),
        stop_above_percent=replay.stop_above_percent,
        stop_on_same=replay.stop_on_same,
        start_at=replay.start_at,
    ).describe()


def doubtful_html(replay: Replay) -> str:
    """Which messages may have been sent twice, by id; "" when none."""
    found = replay.items.filter(doubtful=True)
    ids = list(found.order_by("pk").values_list("dead_letter_id", flat=True)[:DOUBTFUL_SHOWN])
    if not ids:
        return ""
    return render_to_string("stompconsole/parts/doubtful.html", {"ids": ids, "count": found.count()})


def summary_html(progress: Progress, now: datetime) -> str:
    """Pill, bar, counts and pace, as on the list and on the replay's own page."""
    return render_to_string("stompconsole/parts/progress.html", {"progress": progress, "now": now})


def items_html(replay: Replay) -> str:
    """Some of its messages: by the alphabet of their states what failed again comes first."""
    heavy = [f"dead_letter__{field}" for field in NOT_IN_LISTS]
    items = list(replay.items.select_related("dead_letter").defer(*heavy).order_by("state", "pk")[:ITEMS_SHOWN])
    return render_to_string("stompconsole/parts/items.html", {"items": items, "replay": replay})


def waiting_for(progress: Progress) -> list[str]:
    """Consumers that take nothing of it now, since their breaker is open. One query while none is."""
    if not progress.pending:
        return []
    open_ = Consumer.objects.filter(pk__in=Subscription.objects.filter(open_breakers()).values("consumer"))
    items = progress.replay.items
    return [each.name for each in open_.only("name") if items.filter(dead_letter__consumer=each).exists()]


def troubles_html(progress: Progress) -> str:
    """What failed again, what was skipped and what is not certain, grouped."""
    replay = progress.replay
    context = {
        "failures": failures(replay),
        "skips": skips(replay),
        "doubts": doubts(replay),
        "breakers": waiting_for(progress),
        "progress": progress,
    }
    return render_to_string("stompconsole/parts/troubles.html", context)

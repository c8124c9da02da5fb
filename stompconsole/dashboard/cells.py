"""The small pieces of HTML that stand in table cells, the same on first paint and on every tick."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from django.utils.html import format_html
from django.utils.safestring import SafeString

from stompconsole.dashboard import formats
from stompconsole.dashboard.drawing import meter, spark
from stompconsole.metrics.lines import ConsumerLine, DepthLine, Figures
from stompconsole.metrics.spans import Span
from stompconsole.metrics.standing import SlotNow, Standing
from stompconsole.models import DeadLetterState, ReplayItemState, ReplayState, TrialItemState

_TONES: dict[str, str] = {
    Standing.RUNNING: "ok",
    Standing.STARTING: "info",
    Standing.DRAINING: "info",
    Standing.PAUSED: "quiet",
    Standing.BACKING_OFF: "warn",
    Standing.STALE: "warn",
    Standing.STOPPED: "warn",
    Standing.BROKEN: "bad",
    DeadLetterState.DEAD: "bad",
    DeadLetterState.SCHEDULED: "info",
    DeadLetterState.REPLAYING: "info",
    DeadLetterState.SENT: "info",
    DeadLetterState.PROCESSED: "ok",
    DeadLetterState.DISCARDED: "quiet",
    ReplayState.WAITING: "info",
    ReplayState.PAUSED: "quiet",
    ReplayState.STOPPED: "warn",
    ReplayState.DONE: "ok",
    ReplayState.CANCELLED: "quiet",
    ReplayItemState.FAILED_AGAIN: "bad",
    ReplayItemState.SKIPPED: "quiet",
    TrialItemState.PASSED: "ok",
    TrialItemState.FAILED: "bad",
    TrialItemState.TIMED_OUT: "bad",
}


def pill(word: str, detail: str = "") -> SafeString:
    """A state: a word in its tone, and what belongs to it."""
    return toned(_TONES.get(word, "quiet"), f"{word} {detail}".rstrip())


def toned(tone: str, words: str) -> SafeString:
    """A pill in a tone of its own."""
    return format_html('<span class="pill {}">{}</span>', tone, words)


def slot_pill(slot: SlotNow) -> SafeString:
    """A slot's state; ``free`` when nobody has it."""
    return toned("warn", Standing.RUNNING) if slot.held_up else pill(slot.standing or "free")


def worker_pill(standing: Standing) -> SafeString:
    """A worker's state: unlike a consumer's, having stopped is as it should be."""
    return toned("quiet", standing) if standing is Standing.STOPPED else pill(standing)


def moment(then: datetime | None, now: datetime) -> SafeString:
    """A relative time that the script keeps ticking, the exact one in its title."""
    if then is None:
        return SafeString(formats.NONE)
    return format_html(
        '<time datetime="{}" title="{}" data-ago>{}</time>',
        then.isoformat(timespec="seconds"),
        formats.exact(then),
        formats.ago(then, now),
    )


def state(line: ConsumerLine) -> SafeString:
    """The pill, wanted against actual, and under it the reason when they differ, or what holds it up."""
    verdict = line.verdict
    counted = f"{verdict.actual} of {verdict.wanted}" if verdict.wanted else ""
    shown = toned("warn", f"{verdict.standing} {counted}") if verdict.held_up else pill(verdict.standing, counted)
    return format_html(
        '<span class="standing" data-standing="{}"{}{}>{}{}</span>',
        verdict.standing,
        SafeString(" data-paused") if verdict.paused else "",
        SafeString(" data-breaker") if verdict.breaker_open else "",
        shown,
        format_html('<span class="why" title="{0}">{0}</span>', verdict.reason) if verdict.reason else "",
    )


def figure(line: ConsumerLine, value: Callable[[Figures], SafeString | str]) -> SafeString | str:
    """A figure of this second, ``stale`` when its worker went silent, a dash when nothing runs."""
    if line.figures is not None:
        return value(line.figures)
    if line.verdict.standing is Standing.STALE:
        return SafeString('<span class="faint">stale</span>')
    return formats.NONE


def failed(per_second: float) -> SafeString | str:
    """A rate of failures: loud as soon as there is one."""
    text = formats.rate(per_second)
    return format_html('<b class="bad">{}</b>', text) if per_second else text


def in_flight(figures: Figures) -> SafeString:
    """Out of what the broker may hand out at once, with a bar."""
    return format_html(
        "{}/{}{}",
        formats.number(figures.in_flight),
        formats.number(figures.prefetch),
        meter(figures.in_flight / figures.prefetch if figures.prefetch else 0),
    )


def dead(count: int) -> SafeString | str:
    """A count of dead letters: quiet at none."""
    return format_html('<b class="bad">{}</b>', formats.number(count)) if count else formats.NONE


OLDEST_NOT_TOLD = (
    "the broker does not tell when the first was sent: RabbitMQ knows it only of messages that carry a timestamp"
)


def not_known(reason: str) -> SafeString:
    """A question mark; why stands in its title and is read out."""
    return format_html(
        '<span class="unknown" title="{0}"><span aria-hidden="true">?</span><span class="aside">not known: {0}</span>'
        "</span>",
        reason,
    )


def waiting(depth: DepthLine) -> SafeString:
    """How many messages wait, as of when in the title."""
    if depth.waiting is None:
        return not_known(depth.reason)
    as_of = f"as of {formats.exact(depth.read_at)}" if depth.read_at else ""
    return format_html('<span title="{}">{}</span>', as_of, formats.number(depth.waiting))


def oldest(depth: DepthLine, now: datetime) -> SafeString:
    """For how long the first of them has waited."""
    if depth.waiting is None:
        return not_known(depth.reason)
    if not depth.waiting:
        return SafeString(formats.NONE)
    if depth.oldest_at is None:
        return not_known(OLDEST_NOT_TOLD)
    age = formats.span((now - depth.oldest_at).total_seconds())
    return format_html('<span title="since {}">{}</span>', formats.exact(depth.oldest_at), age)


def consumer_cells(line: ConsumerLine, span: Span, now: datetime) -> dict[str, SafeString | str]:
    """All that changes in a consumer's row, by column."""
    series = line.series
    return {
        "state": state(line),
        "in": figure(line, lambda now: formats.rate(now.received_per_s)),
        "acked": figure(line, lambda now: formats.rate(now.acked_per_s)),
        "failed": figure(line, lambda now: failed(now.failed_per_s)),
        "spark": spark(series.received, f"messages in over the last {span.words}"),
        "times": formats.handler_times(series.p50, series.p95),
        "flight": figure(line, in_flight),
        "waiting": waiting(line.depth),
        "oldest": oldest(line.depth, now),
        "dead": dead(line.dead),
    }

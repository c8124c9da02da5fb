"""The figures on top of the overview: is it alive, how fast, what waits for a person, who works."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from stompconsole.dashboard import formats
from stompconsole.dashboard.links import definitions_url
from stompconsole.metrics.lines import ConsumerLine, Live
from stompconsole.metrics.standing import Standing
from stompconsole.models import DeadLetter, DeadLetterState, Replay, ReplayItem, ReplayItemState, ReplayState

LATEST = 20
"""Replays among which the last one that is done is looked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tile:
    """One figure and where it leads. ``tone`` is "warn", "bad", or "" while all is calm."""

    name: str
    label: str
    value: str
    unit: str = ""
    note: str = ""
    tone: str = ""
    href: str = ""

    @property
    def element(self) -> str:
        """Id of the element its figures stand in."""
        return f"tile-{self.name}"

    def html(self) -> SafeString:
        """What stands inside it."""
        return format_html(
            '<span class="k" data-tone="{}">{}</span><span class="v">{} <span class="unit">{}</span></span>'
            '<span class="s">{}</span>',
            self.tone,
            self.label,
            self.value,
            self.unit,
            self.note or SafeString("&nbsp;"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplaysNow:
    """What is being replayed, and how the last one ended."""

    running: int = 0
    waiting_items: int = 0
    scheduled: int = 0
    last: str = ""


def replays_now() -> ReplaysNow:
    """Four small queries. Retries that were due are not counted: nobody asked for them."""
    asked_for = Replay.objects.filter(routine=False)
    scheduled = DeadLetter.objects.filter(state=DeadLetterState.SCHEDULED).count()
    under_way = asked_for.filter(state__in=(ReplayState.WAITING, ReplayState.RUNNING))
    running = under_way.count()
    if running:
        left = ReplayItem.objects.filter(replay__in=under_way, state=ReplayItemState.WAITING).count()
        return ReplaysNow(running=running, waiting_items=left, scheduled=scheduled)
    # Of the latest ones alone: of retries that were due there may be a million that are done.
    last = next((replay for replay in asked_for[:LATEST] if replay.state == ReplayState.DONE), None)
    if last is None:
        return ReplaysNow(scheduled=scheduled)
    processed = last.items.filter(state=ReplayItemState.PROCESSED).count()
    return ReplaysNow(scheduled=scheduled, last=f"last: {processed:,} of {last.total:,} processed")


def tiles(live: Live, replays: ReplaysNow) -> list[Tile]:
    """The tiles of the overview."""
    first = [_consumers(live), _handled(live), _oldest(live), _dead(live)]
    return [*first, _replays(replays), _workers(live), _brokers(live)]


def _consumers(live: Live) -> Tile:
    wanted = [line for line in live.consumers if not line.verdict.paused]
    running = sum(line.verdict.standing is Standing.RUNNING for line in wanted)
    troubled = [line for line in wanted if line.needs_attention]
    return Tile(
        name="consumers",
        label="Consumers running",
        value=formats.number(running),
        unit=f"of {len(wanted):,}",
        note=_trouble(troubled) or _paused(len(live.consumers) - len(wanted)),
        tone=_tone(troubled),
        href="?show=attention#consumers" if troubled else "#consumers",
    )


def _trouble(lines: Sequence[ConsumerLine]) -> str:
    if not lines:
        return ""
    worst = min(lines, key=lambda line: line.verdict.standing is not Standing.BROKEN)
    rest = f" and {len(lines) - 1} more" if len(lines) > 1 else ""
    how = "held up" if worst.verdict.held_up else worst.verdict.standing
    return f"{worst.name} {how}{rest}"


def _paused(count: int) -> str:
    return f"{count:,} paused" if count else ""


def _tone(troubled: Sequence[ConsumerLine]) -> str:
    if not troubled:
        return ""
    return "bad" if any(line.verdict.standing is Standing.BROKEN for line in troubled) else "warn"


def _handled(live: Live) -> Tile:
    figures = [line.figures for line in live.consumers if line.figures is not None]
    acked = sum(now.acked_per_s for now in figures)
    failed = sum(now.failed_per_s for now in figures)
    return Tile(
        name="handled",
        label="Handled now",
        value=formats.rate(acked) if acked else "0",
        unit="/s",
        note=f"{formats.rate(failed)} failed/s" if failed else "none failing",
        href="#consumers",
    )


def _oldest(live: Live) -> Tile:
    known = [line for line in live.consumers if line.depth.waiting is not None]
    waits = [line for line in known if line.depth.waiting]
    aged = [(line.depth.oldest_at, line) for line in waits if line.depth.oldest_at is not None]
    tile = Tile(name="oldest", label="Oldest waiting", value=formats.NONE, note="nothing waits", href="#consumers")
    if aged:
        since, line = min(aged, key=lambda each: each[0])
        href = reverse("stompconsole:consumer", args=[line.name])
        return replace(tile, value=formats.span((live.now - since).total_seconds()), note=_waits(line), href=href)
    if waits:
        most = max(waits, key=lambda line: line.depth.waiting or 0)
        return replace(tile, value="?", note=f"since when is not told: {_waits(most)}")
    if known or not live.consumers:
        return tile
    return replace(tile, value="?", note=live.consumers[0].depth.reason)


def _waits(line: ConsumerLine) -> str:
    return f"{line.name}, {formats.number(line.depth.waiting)} waiting"


def _dead(live: Live) -> Tile:
    dead = live.dead
    return Tile(
        name="dead",
        label="Dead letters",
        value=formats.number(dead.total),
        note=f"+{dead.last_hour:,} in 1 h · {dead.newest_error}" if dead.total else "none",
        tone="bad" if dead.last_hour else "warn" if dead.total else "",
        href=reverse("stompconsole:dead-letters"),
    )


def _replays(now: ReplaysNow) -> Tile:
    told = f"{formats.plural(now.waiting_items, 'message')} to send" if now.running else now.last
    waiting = f"{formats.plural(now.scheduled, 'retry', 'retries')} scheduled" if now.scheduled else ""
    return Tile(
        name="replays",
        label="Replays",
        value=formats.number(now.running),
        unit="running",
        note=" · ".join(filter(None, (waiting, told))) or "none so far",
        href=reverse("stompconsole:replays"),
    )


def _workers(live: Live) -> Tile:
    alive = [worker for worker in live.workers if worker.alive]
    beat = max((worker.heartbeat_at for worker in live.workers), default=None)
    return Tile(
        name="workers",
        label="Workers",
        value=formats.number(len(alive)),
        unit=f"of {len(live.workers):,}",
        note=f"last heard {formats.ago(beat, live.now)}" if beat else "none has been started",
        tone="" if len(alive) == len(live.workers) > 0 else "warn",
        href=reverse("stompconsole:workers"),
    )


def _brokers(live: Live) -> Tile:
    wanted = {line.broker for line in live.consumers if line.verdict.wanted}
    reached = {line.broker for line in live.consumers if line.verdict.actual}
    missing = sorted(wanted - reached)
    blocked = sorted({line.broker for line in live.consumers if line.verdict.held_up})
    return Tile(
        name="brokers",
        label="Brokers reached",
        value=formats.number(len(wanted & reached)),
        unit=f"of {len(wanted):,}",
        note=_broker_trouble(missing, blocked) or ", ".join(broker.name for broker in live.brokers),
        tone="warn" if missing or blocked else "",
        href=definitions_url("broker"),
    )


def _broker_trouble(missing: Sequence[str], blocked: Sequence[str]) -> str:
    if missing:
        return f"not {', '.join(missing)}"
    return f"{', '.join(blocked)} takes no dead letters" if blocked else ""

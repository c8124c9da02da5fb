"""What the page of the dead letters that stay in the broker shows: how many, some of them, what was sent back."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.utils.html import format_html
from django.utils.safestring import SafeString

from stompconsole.brokers import Dialect
from stompconsole.dashboard import cells, formats
from stompconsole.metrics.lines import ConsumerLine
from stompconsole.models import BrokerBrowse, BrokerReplay, Consumer, ErrandState

LAST = 10
MAX_LIMIT = 1_000_000_000

AT_LEAST_ONCE = (
    "At least once: each message is sent back, its receipt is waited for, and only then is it taken out of the"
    " dead-letter queue. A crash between the two may leave one message in both places, and never in none."
)
EXACTLY_ONCE = (
    "Exactly once, as long as Artemis remembers it: each message goes back with an id by which Artemis drops a second"
    " one, so that a crash between sending it and taking it out of the dead-letter queue leaves no message twice."
    " Without that id it would be at least once. Artemis remembers the last 20,000 of each address."
)

_TONES = {
    ErrandState.WAITING: "info",
    ErrandState.RUNNING: "info",
    ErrandState.DONE: "ok",
    ErrandState.FAILED: "bad",
    ErrandState.CANCELLED: "quiet",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """How many to send back at most, as it was typed; ``problem`` if that makes no sense."""

    value: int | None = None
    problem: str = ""

    @classmethod
    def from_text(cls, text: str) -> Limit:
        """None for nothing: until the queue is empty."""
        words = text.strip().replace(",", "")
        if not words:
            return cls()
        if words.isascii() and words.isdigit() and len(words) < 11 and 0 < int(words) <= MAX_LIMIT:
            return cls(value=int(words))
        return cls(problem=f"{text!r} is no number of messages: give 1 or more, or nothing for all.")


def guarantee(dialect: Dialect) -> str:
    """What is promised about each message, named by its level."""
    return EXACTLY_ONCE if dialect.duplicate_id_header else AT_LEAST_ONCE


def context(row: Consumer, line: ConsumerLine, now: datetime) -> dict[str, Any]:
    """All that the page shows of one consumer. Three queries."""
    dialect = row.broker.dialect()
    look = BrokerBrowse.objects.filter(consumer=row).first()
    replays = BrokerReplay.objects.filter(consumer=row)
    return {
        "row": row,
        "line": line,
        "depth": line.dead_depth,
        "waiting": cells.waiting(line.dead_depth),
        "oldest": cells.oldest(line.dead_depth, now),
        "look": look,
        "no_browse": "" if dialect.browse or not row.broker.is_known else dialect.no_browse,
        "guarantee": guarantee(dialect),
        "to_everyone": "" if dialect.own_address(row.wanted) else row.destination,
        "replays": [shown(each) for each in replays.select_related("created_by", "consumer")[:LAST]],
        "unfinished": replays.filter(state__in=(ErrandState.WAITING, ErrandState.RUNNING)).exists(),
        "now": now,
    }


def queue(line: ConsumerLine, now: datetime) -> dict[str, Any]:
    """One line of the list of all such queues."""
    depth = line.dead_depth
    return {"line": line, "depth": depth, "waiting": cells.waiting(depth), "oldest": cells.oldest(depth, now)}


def shown(replay: BrokerReplay) -> dict[str, Any]:
    """One replay, its state and its result in words."""
    return {
        "row": replay,
        "pill": _pill(replay),
        "sentence": sentence(replay),
        "unfinished": replay.state in {ErrandState.WAITING, ErrandState.RUNNING},
    }


def sentence(replay: BrokerReplay) -> str:
    """``120 messages moved, 3 skipped: their origin is not known.``"""
    of = f" of at most {replay.limit:,}" if replay.limit else ""
    parts = [f"{formats.plural(replay.moved, 'message')} moved{of}"]
    parts += [f"{replay.skipped:,} skipped, since their origin is not known"] if replay.skipped else []
    parts += [f"{replay.failed:,} refused where they came from"] if replay.failed else []
    parts += [f"{replay.failed_again:,} have failed again and are left"] if replay.failed_again else []
    return f"{'; '.join(parts)}."


def _pill(replay: BrokerReplay) -> SafeString:
    return format_html('<span class="pill {}">{}</span>', _TONES[ErrandState(replay.state)], replay.state)

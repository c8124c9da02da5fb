"""What the page of one consumer shows and what of it changes while it is open."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.template.loader import render_to_string

from stompconsole.dashboard import cells, formats
from stompconsole.dashboard.drawing import chart, chart_top
from stompconsole.dashboard.events import events_html, last_events
from stompconsole.dashboard.news import news
from stompconsole.dashboard.stream.fragments import Fragments
from stompconsole.dashboard.stream.topics import Topic
from stompconsole.metrics.lines import ConsumerLine, Live
from stompconsole.metrics.spans import Span
from stompconsole.models import AuditEntry, Consumer

LAST_DEAD_LETTERS = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """One line of a definition."""

    name: str
    value: str
    code: bool = False


def definition(row: Consumer, line: ConsumerLine) -> list[Fact]:
    """What was defined in the admin, in words."""
    return [
        Fact(name="Destination", value=row.destination, code=True),
        Fact(name="Handler", value=row.handler, code=True),
        Fact(name="Broker", value=row.broker.name),
        Fact(name="Slots", value=f"{row.instances:,}" if row.instances else "one in every worker"),
        Fact(name="Threads in each", value=f"{row.concurrency:,}"),
        Fact(name="Prefetch", value=f"{row.prefetch:,}"),
        Fact(name="ACK mode", value=row.ack_mode),
        Fact(name="Body", value=row.get_codec_display()),
        Fact(name="Attempts", value=_attempts(row)),
        Fact(name="Breaker", value=_breaker(row)),
        Fact(name="Dead letters", value=line.dead_letter_destination, code=True),
        Fact(name="Captured", value="yes" if row.capture else "no: they stay in the broker"),
    ]


def fragments(live: Live, line: ConsumerLine, topic: Topic) -> Fragments:
    """All of the page that changes."""
    found = {f"c{line.id}-{column}": html for column, html in cells.consumer_cells(line, topic.span, live.now).items()}
    found |= chart_parts(line, topic.span, live.now)
    found["slots"] = slots_html(line, live.now)
    found["depths"] = depths_html(line, live.now)
    found["events"] = events(line.id, live.now)
    found["news"] = news(topic)
    return found


def chart_parts(line: ConsumerLine, span: Span, now: datetime) -> dict[str, str]:
    """The chart and the words around it."""
    series = line.series
    top = chart_top(series.acked, series.failed)
    label = f"acked and failed messages a second over the last {span.words}"
    totals = f"{formats.number(series.total_acked)} acked, {formats.number(series.total_failed)} failed"
    return {
        "chart": chart(series.acked, series.failed, label),
        "chart-top": formats.number(int(top)),
        "chart-half": f"{top / 2:,g}",
        "chart-from": clock(span.first_bucket(now)),
        "chart-mid": clock(now - timedelta(seconds=span.width_s * span.points / 2)),
        "chart-total": f"{totals} in {span.words}",
    }


def clock(then: datetime) -> str:
    """A time of day that the script puts into the viewer's zone."""
    return render_to_string("stompconsole/parts/clock.html", {"then": then})


def slots_html(line: ConsumerLine, now: datetime) -> str:
    """Its subscriptions, slot by slot, the capture of its dead letters among them."""
    return render_to_string("stompconsole/parts/slots.html", {"line": line, "now": now})


def depths_html(line: ConsumerLine, now: datetime) -> str:
    """Its queues in the broker: what waits there, and as of when."""
    named = (
        ("Messages", line.destination, line.depth),
        ("Dead letters", line.dead_letter_destination, line.dead_depth),
    )
    queues = [
        {
            "name": name,
            "destination": destination,
            "depth": depth,
            "waiting": cells.waiting(depth),
            "oldest": cells.oldest(depth, now),
        }
        for name, destination, depth in named
    ]
    return render_to_string("stompconsole/parts/depths.html", {"queues": queues, "now": now})


def events(consumer_id: int, now: datetime) -> str:
    """The last things that happened to it or were done to it. One query."""
    return events_html(last_events(AuditEntry.objects.filter(consumer_id=consumer_id)), now)


def _attempts(row: Consumer) -> str:
    if row.max_attempts == 1:
        return "1, no retry"
    delays = f"first retry after {row.retry_first_delay_s:g} s, then {row.retry_factor:g} times that, at most"
    return f"{row.max_attempts:,}; {delays} {row.retry_max_delay_s:g} s"


def _breaker(row: Consumer) -> str:
    ways = [
        *([f"after {formats.plural(row.breaker_in_a_row, 'failure')} in a row"] if row.breaker_in_a_row else []),
        *([f"when more than {row.breaker_percent} % of the last messages failed"] if row.breaker_percent else []),
    ]
    if not ways:
        return "off"
    return f"opens {' or '.join(ways)}; tries one message after {row.breaker_probe_s:g} s"

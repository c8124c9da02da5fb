"""What is to be said of brokers on top of the overview: one line each, none while all is as it should be."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from django.template.loader import render_to_string

from stompconsole.dashboard import formats
from stompconsole.dashboard.links import definitions_url
from stompconsole.metrics.lines import BrokerLine, Live

UNVERIFIED = "its certificate is not verified, so whoever is in between can read all of it, the password too."


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """One line about a broker; ``href`` leads to its definition, empty where there is no admin."""

    broker: str
    words: str
    href: str


def notices(live: Live) -> list[Notice]:
    """The notices of now."""
    return [
        Notice(broker=broker.name, words=words, href=definitions_url("broker", broker.id))
        for broker in live.brokers
        for words in _about(broker)
    ]


def notices_html(live: Live) -> str:
    """As lines."""
    return render_to_string("stompconsole/parts/notices.html", {"notices": notices(live)})


def _about(broker: BrokerLine) -> Iterator[str]:
    if broker.unverified:
        yield f"TLS with {broker.primary}: {UNVERIFIED}"
    if broker.on_standby:
        counted = formats.plural(broker.on_standby, "subscription")
        goes_on = "They return as soon as it lets them in." if broker.returns else "They stay until they end."
        yield f"{counted} on the standby {broker.standby}, in place of {broker.primary}. {goes_on}"

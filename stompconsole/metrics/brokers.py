"""How brokers stand, as far as pages show it: verified or not, at the primary or on the standby. One query."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from stompconsole.delivery.specs import Failback
from stompconsole.metrics.lines import BrokerLine, ConsumerLine
from stompconsole.models import Broker

_SHOWN = ("name", "host", "port", "standby_host", "standby_port", "failback", "use_tls", "tls_verify")
"""Secrets are not even read."""


def broker_lines(consumers: Iterable[ConsumerLine]) -> tuple[BrokerLine, ...]:
    """All brokers by name; where the subscriptions of ``consumers`` are says which are on the standby."""
    there = Counter((line.broker_id, slot.endpoint) for line in consumers for slot in line.slots if slot.now.held)
    rows = Broker.objects.only("pk", *_SHOWN).order_by("name")
    return tuple(_broker_line(row, there) for row in rows)


def _broker_line(row: Broker, there: Counter[tuple[int, str]]) -> BrokerLine:
    primary = f"{row.host}:{row.port}"
    standby = f"{row.standby_host}:{row.standby_port}" if row.standby_host else ""
    return BrokerLine(
        id=row.pk,
        name=row.name,
        primary=primary,
        standby=standby,
        returns=row.failback == Failback.RETURN,
        unverified=row.use_tls and not row.tls_verify,
        on_standby=there[row.pk, standby] if standby not in {"", primary} else 0,
    )

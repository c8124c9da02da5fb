"""The values that pages of the running system are made of. Times are aware; rates per second."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from stompconsole.metrics.series import Series
from stompconsole.metrics.standing import SlotNow, Standing, Verdict
from stompconsole.models import Purpose


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerLine:
    """One worker process as it is heard of. ``slots`` counts the consumers' slots that it holds."""

    id: str
    name: str
    standing: Standing
    heartbeat_at: datetime
    started_at: datetime
    slots: int
    memory_bytes: int
    version: str
    release: str = ""

    @property
    def alive(self) -> bool:
        """Whether it is heard of, draining or not."""
        return self.standing in {Standing.RUNNING, Standing.DRAINING}


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotLine:
    """One subscription row, with what of it can be believed. Figures are None when they can't be."""

    consumer_id: int
    worker_id: str
    purpose: Purpose
    slot: str
    now: SlotNow
    since: datetime | None
    endpoint: str
    server: str
    received_per_s: float | None
    acked_per_s: float | None
    failed_per_s: float | None
    in_flight: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What a consumer does this second, over its believed slots."""

    received_per_s: float
    acked_per_s: float
    failed_per_s: float
    in_flight: int
    prefetch: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DepthLine:
    """What waits in one queue, as the broker said at ``read_at``. ``waiting`` None: it is not known, and ``reason``."""

    destination: str = ""
    waiting: int | None = None
    in_flight: int | None = None
    consumers: int | None = None
    oldest_at: datetime | None = None
    read_at: datetime | None = None
    reason: str = ""


UNKNOWN_DEPTH = DepthLine(reason="not read")


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsumerLine:
    """One consumer as the overview shows it. ``figures`` is None when no slot of it can be believed."""

    id: int
    name: str
    destination: str
    dead_letter_destination: str
    broker: str
    broker_id: int
    verdict: Verdict
    figures: Figures | None
    series: Series
    slots: tuple[SlotLine, ...]
    dead: int
    newest_error: str
    depth: DepthLine = UNKNOWN_DEPTH
    dead_depth: DepthLine = UNKNOWN_DEPTH
    """Of its dead-letter queue in the broker."""

    @property
    def needs_attention(self) -> bool:
        """Whether its state asks for a person."""
        return self.verdict.needs_attention


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadCounts:
    """Dead letters in state dead: by consumer (None: of no consumer), in all, and in the last hour."""

    by_consumer: Mapping[int | None, int]
    total: int
    last_hour: int
    newest_error: str
    newest_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerLine:
    """One broker. ``unverified``: TLS whose certificate nobody verifies. ``on_standby``: subscriptions that are there
    instead of at the primary; both places as host:port, ``standby`` empty if there is none."""

    id: int
    name: str
    primary: str
    standby: str
    returns: bool
    unverified: bool
    on_standby: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Live:
    """Everything that changes while a page is open."""

    now: datetime
    consumers: tuple[ConsumerLine, ...]
    workers: tuple[WorkerLine, ...]
    dead: DeadCounts
    brokers: tuple[BrokerLine, ...]

    def consumer(self, name: str) -> ConsumerLine | None:
        """The line of one consumer, or None when there is none of that name."""
        return next((line for line in self.consumers if line.name == name), None)

"""The figures in Prometheus' exposition format.

Counters are read from the hour buckets of the current day (UTC): they start at 0 every midnight, which Prometheus takes
for the restart of a process. That way they are the same from every web process and need no memory of their own;
a sum over all that is kept would fall whenever old buckets are deleted, and every fall would read as a burst.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from itertools import accumulate

from django.db.models import Count
from django.utils import timezone
from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from stompconsole.metrics.lines import Live
from stompconsole.metrics.quantiles import added
from stompconsole.metrics.queries import live
from stompconsole.metrics.series import Window
from stompconsole.metrics.spans import Span
from stompconsole.models import DeadLetter, Purpose, ThroughputBucket
from stompconsole.models.throughput import LATENCY_BOUNDS_S

HOUR_S = 3600
FREE = "free"
"""The state of a slot that no worker holds."""

_OUTCOMES = ("received", "acked", "retried", "dead_lettered")


def exposition(accept: str) -> tuple[bytes, str]:
    """Everything as text, and its content type. ``accept`` is the header of the request."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Rows())
    encoder, content_type = choose_encoder(accept)
    return encoder(registry), content_type


class _Rows(Collector):
    """Reads the rows when it is scraped; keeps nothing."""

    def describe(self) -> Iterable[Metric]:
        """Nothing beforehand: describing would read the rows twice."""
        return ()

    def collect(self) -> Iterator[Metric]:
        now = live(Window(Span.MINUTE))
        today = _today()
        names = {line.id: line.name for line in now.consumers}
        yield _messages(names, today)
        yield _handler_seconds(names, today)
        yield _in_flight(now)
        yield _dead_letters(names)
        yield _queue_depth(now)
        yield _subscriptions(now)
        yield _heartbeats(now)


def _today() -> Mapping[int, list[ThroughputBucket]]:
    midnight = timezone.now().replace(hour=0, minute=0, second=0, microsecond=0)
    found: dict[int, list[ThroughputBucket]] = defaultdict(list)
    for bucket in ThroughputBucket.objects.filter(width_s=HOUR_S, start__gte=midnight):
        found[bucket.consumer_id].append(bucket)
    return found


def _messages(names: Mapping[int, str], today: Mapping[int, list[ThroughputBucket]]) -> Metric:
    family = CounterMetricFamily(
        "stompconsole_messages", "Messages by outcome, since midnight UTC.", labels=["consumer", "outcome"]
    )
    for consumer_id, name in names.items():
        for outcome in _OUTCOMES:
            family.add_metric([name, outcome], sum(getattr(bucket, outcome) for bucket in today[consumer_id]))
    return family


def _handler_seconds(names: Mapping[int, str], today: Mapping[int, list[ThroughputBucket]]) -> Metric:
    family = HistogramMetricFamily(
        "stompconsole_handler_seconds", "Time handlers took, since midnight UTC.", labels=["consumer"]
    )
    bounds = [*(str(bound) for bound in LATENCY_BOUNDS_S), "+Inf"]
    for consumer_id, name in names.items():
        counts = accumulate(added(bucket.latency for bucket in today[consumer_id]))
        seconds = sum(bucket.handler_seconds for bucket in today[consumer_id])
        family.add_metric([name], list(zip(bounds, counts, strict=True)), seconds)
    return family


def _in_flight(now: Live) -> Metric:
    family = GaugeMetricFamily("stompconsole_in_flight", "Messages handed out and not settled.", labels=["consumer"])
    for line in now.consumers:
        # A consumer nobody holds has none; one whose worker went silent is not known and left out.
        if line.figures is not None:
            family.add_metric([line.name], line.figures.in_flight)
    return family


def _dead_letters(names: Mapping[int, str]) -> Metric:
    family = GaugeMetricFamily("stompconsole_dead_letters", "Dead letters by state.", labels=["consumer", "state"])
    counts = DeadLetter.objects.order_by().values_list("consumer_id", "state").annotate(count=Count("pk"))
    for consumer_id, state, count in counts:
        family.add_metric([names.get(consumer_id, ""), state], count)
    return family


def _queue_depth(now: Live) -> Metric:
    family = GaugeMetricFamily(
        "stompconsole_queue_depth",
        "Messages that wait in the broker. What it does not tell is left out.",
        labels=["broker", "destination"],
    )
    found: dict[tuple[str, str], int] = {}
    for line in now.consumers:
        for depth in (line.depth, line.dead_depth):
            if depth.waiting is not None:
                # Consumers that share a queue have read the same one.
                found[line.broker, depth.destination] = depth.waiting
    for labels, waiting in found.items():
        family.add_metric(list(labels), waiting)
    return family


def _subscriptions(now: Live) -> Metric:
    family = GaugeMetricFamily("stompconsole_subscriptions", "Slots by state.", labels=["consumer", "state"])
    for line in now.consumers:
        slots = [slot.now.standing or FREE for slot in line.slots if slot.purpose is Purpose.CONSUME]
        for state, count in Counter(slots).items():
            family.add_metric([line.name, state], count)
    return family


def _heartbeats(now: Live) -> Metric:
    family = GaugeMetricFamily(
        "stompconsole_worker_heartbeat_timestamp_seconds", "When a worker was last heard of.", labels=["worker"]
    )
    for worker in now.workers:
        family.add_metric([worker.name], worker.heartbeat_at.timestamp())
    return family

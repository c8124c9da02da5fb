"""The way of a handled message with and without a sampler, in turn, in one process: what sampling costs.

    python -m bench.sampling [messages] [rounds]

No broker: deliveries are made up, and go through decoding, handler, settlement and tally as a worker has them. Round by
round the order changes, so that neither gains from the other's warmth.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable

from bench.workload import BODY
from stompconsole.brokers import Dialect
from stompconsole.delivery.handling import HandlerWork
from stompconsole.delivery.payload import Payload
from stompconsole.delivery.sampling import Sampler
from stompconsole.delivery.senders import Senders
from stompconsole.delivery.settlement import Delivery, Settlement
from stompconsole.delivery.specs import BrokerSpec, ConsumerSpec
from stompconsole.transport.session import Endpoint, Login

BATCH = 50


class _Nowhere:
    """A session whose writes go nowhere, and a subscription that does nothing later."""

    close_reason = None

    def write(self, data: bytes) -> None:
        return

    def after(self, delay_s: float, action: Callable[[], None]) -> None:
        return

    def put(self, delivery: Delivery) -> None:
        return

    def wake(self) -> None:
        return


def _ignore(_: Payload) -> None:
    return


def per_second(count: int, sampler: Sampler | None) -> float:
    """Messages a second of processor time through one handler thread."""
    from stompconsole.metrics.tally import Tally

    broker = BrokerSpec(name="b", kind="generic", endpoints=(Endpoint(host="h", port=1),), login=Login())
    spec = ConsumerSpec(name="bench", broker=broker, destination="/queue/bench", handler="bench")
    work = HandlerWork(spec, _ignore, Senders(), "bench", Tally(), sampler=sampler)
    nowhere, dialect = _Nowhere(), Dialect()
    settlement = Settlement(nowhere, "/queue/bench", limit=32, around=nowhere)  # type: ignore[arg-type]
    headers = {"message-id": "1", "ack": "1", "correlation-id": "c", "content-type": "application/json"}
    batches = [[Delivery(settlement, dict(headers), BODY) for _ in range(BATCH)] for _ in range(count // BATCH)]
    started = time.thread_time()  # others may use the machine as well
    for batch in batches:
        work.process(settlement.take(batch), dialect)
    return count / (time.thread_time() - started)


def compare(count: int, rounds: int) -> tuple[float, float, float]:
    """Medians without and with a sampler, and the median of the ratios of each round."""
    sampler = Sampler()
    per_second(count // 4, sampler)
    without, with_one = [], []
    for number in range(rounds):
        for sampled in (number % 2 == 0, number % 2 == 1):
            (with_one if sampled else without).append(per_second(count, sampler if sampled else None))
    ratios = [one / none for one, none in zip(with_one, without, strict=True)]
    return statistics.median(without), statistics.median(with_one), statistics.median(ratios)


def main() -> None:
    """Print a line."""
    import os

    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "stompconsole.project.settings")
    django.setup()
    count, rounds = (*map(int, sys.argv[1:]), 20_000, 9)[:2]
    without, with_one, ratio = compare(count, rounds)
    print(
        f"without {without:,.0f}/s, with a sampler {with_one:,.0f}/s, ratio {ratio:.3f}, {rounds} rounds of {count:,}"
    )


if __name__ == "__main__":
    main()

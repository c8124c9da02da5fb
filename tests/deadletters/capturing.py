"""A capture that runs for a test."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from stompconsole.deadletters.capture import capture_work
from stompconsole.deadletters.holding import Holder
from stompconsole.delivery.observer import SilentObserver
from stompconsole.delivery.runner import SubscriptionRunner
from stompconsole.delivery.senders import Senders
from stompconsole.delivery.specs import SubscriptionState, capture_spec
from stompconsole.models import Consumer
from tests.support.waiting import until


@contextmanager
def started(consumer: Consumer) -> Iterator[SubscriptionRunner]:
    """Capture the dead letters of a row, whether or not the broker lets it."""
    spec = consumer.spec()
    senders = Senders()
    work = capture_work(consumer.pk, consumer.name, spec.dead_letters, Holder(senders, spec.broker, spec.dead_letters))
    runner = SubscriptionRunner(capture_spec(spec), work, SilentObserver())
    runner.start()
    try:
        yield runner
    finally:
        runner.drain()
        assert runner.join(15)
        senders.close(2.0)


@contextmanager
def capturing(consumer: Consumer) -> Iterator[SubscriptionRunner]:
    """Capture the dead letters of a row."""
    with started(consumer) as runner:
        until(lambda: runner.status.state is SubscriptionState.RUNNING, 20, "capture runs")
        yield runner

"""A breaker in a worker process: rows say what it does, an operator hurries it, a pause ends it, it closes itself."""

from __future__ import annotations

import pytest
from django.utils import timezone

from stompconsole.models import AuditEntry, Consumer, DeadLetter, Subscription, open_breakers
from tests.support.waiting import until
from tests.worker.stage import Stage

pytestmark = pytest.mark.slow


def told(consumer: Consumer) -> list[str]:
    """The events of its breaker, in order."""
    entries = AuditEntry.objects.filter(consumer=consumer, action="consumer breaker").order_by("id")
    return list(entries.values_list("detail", flat=True))


def wait_open(stage: Stage, consumer: Consumer) -> Subscription:
    slot = until(lambda: Subscription.objects.filter(open_breakers()).first(), 20, "its breaker is open")
    assert slot.consumer == consumer
    return slot


def test_it_opens_tries_and_closes_by_itself_and_every_turn_is_an_event(stage: Stage) -> None:
    worker = stage.worker()
    fields = {"breaker_in_a_row": 3, "breaker_probe_s": 1.0, "capture": True}
    consumer = stage.consumer("orders", handler="call", **fields)
    stage.send("/queue/orders", range(40))
    slot = wait_open(stage, consumer)
    assert "3 failures in a row, last ConnectionError: connection refused; " in slot.reason
    until(lambda: any(words.startswith("breaker stays open") for words in told(consumer)), 20, "a try has failed")
    stage.open_gate()
    stage.wait_for(consumer, "running", timeout_s=30)
    until(lambda: len(stage.written()) + len(set(stage.written("failed"))) == 40, 20, "the rest is handled")
    until(lambda: told(consumer)[-1] == "breaker closed: the message it tried was handled", what="it is told")
    opened, probing, failed = told(consumer)[:3]
    assert opened.startswith("breaker opened: 3 failures in a row, last ConnectionError: ")
    assert probing == "breaker half-open, probing"
    assert failed.startswith("breaker stays open: 3 failures in a row; 1 tried since, failed as well")
    until(lambda: DeadLetter.objects.count() == len(stage.written("failed")), what="dead letters are captured")
    assert DeadLetter.objects.count() <= 3 + len(told(consumer)) - 3
    assert worker.terminate() == 0


def test_an_operator_has_it_try_at_once_without_a_restart(stage: Stage) -> None:
    worker = stage.worker()
    consumer = stage.consumer("orders", handler="call", breaker_in_a_row=3, breaker_probe_s=600.0)
    stage.send("/queue/orders", range(10))
    wait_open(stage, consumer)
    stage.open_gate()
    Consumer.objects.filter(pk=consumer.pk).update(breaker_tried_at=timezone.now())
    until(lambda: stage.written() == [str(number) for number in range(3, 10)], 20, "the rest is handled in order")
    assert "drains: its definition has changed" not in worker.text()
    assert worker.terminate() == 0


def test_a_pause_and_a_signal_do_not_wait_out_its_back_off(stage: Stage) -> None:
    worker = stage.worker()
    fields = {"handler": "call", "breaker_in_a_row": 1, "breaker_probe_s": 600.0}
    paused, other = stage.consumer("paused", **fields), stage.consumer("other", **fields)
    for consumer in (paused, other):
        stage.send(consumer.destination, ["a", "b"])
    until(lambda: Subscription.objects.filter(open_breakers()).count() == 2, 20, "both are open")
    paused.paused = True
    paused.save()
    until(lambda: not stage.slots(paused)[0].worker_id, 8, "it is given up")
    assert worker.terminate(8) == 0
    assert not Subscription.objects.filter(open_breakers()).exists()

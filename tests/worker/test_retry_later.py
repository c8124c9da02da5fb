"""Retries that wait outliving the workers: parked by one process, sent back by another."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from stompconsole.models import DeadLetter
from tests.support.waiting import until
from tests.worker.stage import Stage

pytestmark = pytest.mark.slow


def test_what_a_killed_worker_had_parked_is_sent_in_time_by_the_next(stage: Stage) -> None:
    worker = stage.worker()
    consumer = stage.consumer("orders", "fail", capture=True, retry_later="4s, 1h")
    stage.wait_for(consumer, "running")
    stage.send("/queue/orders", ["once"])
    until(lambda: DeadLetter.objects.filter(state="scheduled").exists(), 20, "it is parked")
    worker.kill()
    stage.worker()
    until(lambda: len(stage.written("failed")) == 2, 40, "it is tried again by the other")
    until(lambda: DeadLetter.objects.filter(state="scheduled", retry_step=2).exists(), 20, "its next step is taken")
    row = DeadLetter.objects.get()
    assert row.attempts == 2
    assert row.due_at is not None
    assert timedelta(minutes=59) < row.due_at - timezone.now() < timedelta(hours=1)


def test_a_paused_consumer_s_retry_is_sent_and_waits_in_its_queue(stage: Stage) -> None:
    stage.worker()
    consumer = stage.consumer("orders", "fail", capture=True, retry_later="8s, 1h")
    stage.wait_for(consumer, "running")
    stage.send("/queue/orders", ["once"])
    until(lambda: DeadLetter.objects.filter(state="scheduled").exists(), 20, "it is parked")
    consumer.mark_paused(None)
    consumer.save()
    until(lambda: DeadLetter.objects.filter(state="sent").exists(), 20, "it is sent")
    assert len(stage.written("failed")) == 1
    consumer.mark_resumed()
    consumer.save()
    until(lambda: len(stage.written("failed")) == 2, 20, "it is handled once the consumer goes on")

"""What befell a worker and its slots, for whoever reads the audit next morning. Blocking calls."""

from __future__ import annotations

from contextlib import suppress
from uuid import UUID

from django.db import IntegrityError

from stompconsole import audit
from stompconsole.audit import Action
from stompconsole.models import Consumer, Worker
from stompconsole.worker.wanted import SlotKey


class Events:
    """Writes the events of one worker."""

    def __init__(self, worker_name: str) -> None:
        self._name = worker_name

    def started(self) -> None:
        """The worker has started."""
        audit.record(Action.WORKER_STARTED, f"worker {self._name}", actor=None, actor_name=self._name)

    def stopped(self) -> None:
        """The worker has stopped in good order."""
        audit.record(Action.WORKER_STOPPED, f"worker {self._name}", actor=None, actor_name=self._name)

    def taken_over(self, key: SlotKey, from_worker: UUID) -> None:
        """A slot was taken over from a worker that let its lease run out."""
        before = Worker.objects.filter(pk=from_worker).first()
        self._of_slot(Action.SLOT_TAKEN_OVER, key, f"from {before or from_worker}, whose lease ran out")

    def broken(self, key: SlotKey, reason: str) -> None:
        """A slot can't run."""
        self._of_slot(Action.CONSUMER_STATE, key, f"broken: {reason}")

    def _of_slot(self, action: Action, key: SlotKey, detail: str) -> None:
        consumer = Consumer.objects.filter(pk=key.consumer_id).first()
        if consumer is None:
            return
        target = f"{consumer.name}, {key.purpose.value} slot {key.slot}"
        # The consumer may be deleted in between: nobody asks then what befell it.
        with suppress(IntegrityError):
            audit.record(action, target, actor=None, actor_name=self._name, consumer=consumer, detail=detail)

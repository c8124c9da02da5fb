"""What befell a worker, its slots and its brokers, for whoever reads the audit next morning. Blocking calls."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from uuid import UUID

from django.db import IntegrityError

import stompconsole
from stompconsole import audit
from stompconsole.audit import Action
from stompconsole.delivery.observer import Switch
from stompconsole.models import Consumer, Worker
from stompconsole.worker.wanted import SlotKey


class Events:
    """Writes the events of one worker, of which ``release`` is the version its settings name."""

    def __init__(self, worker_name: str, release: str = "") -> None:
        self._name = worker_name
        self._versions = {"release": release, "stompconsole": stompconsole.__version__}

    def started(self) -> None:
        """The worker has started."""
        target = f"worker {self._name}"
        audit.record(
            Action.WORKER_STARTED,
            target,
            actor=None,
            actor_name=self._name,
            detail=f"release {self._versions['release']}" if self._versions["release"] else "",
            data=self._versions,
        )

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

    def breaker(self, key: SlotKey, words: str) -> None:
        """The breaker of a slot has opened, tries a message, or has closed."""
        self._of_slot(Action.CONSUMER_BREAKER, key, words.replace("\0", ""))

    def switched(self, switch: Switch) -> None:
        """The sessions with a broker are opened at another of its endpoints."""
        audit.record(
            Action.BROKER_SWITCHED,
            f"broker {switch.broker}",
            actor=None,
            actor_name=self._name,
            # PostgreSQL stores no NUL; a broker's words may hold one.
            detail=str(switch).replace("\0", ""),
            data={"from": str(switch.was), "to": str(switch.now)},
        )

    def _of_slot(self, action: Action, key: SlotKey, detail: str) -> None:
        consumer = Consumer.objects.filter(pk=key.consumer_id).first()
        if consumer is None:
            return
        target = f"{consumer.name}, {key.purpose.value} slot {key.slot}"
        # The consumer may be deleted in between: nobody asks then what befell it.
        with suppress(IntegrityError):
            audit.record(action, target, actor=None, actor_name=self._name, consumer=consumer, detail=detail)


class Notes:
    """Events of threads, a broker's switches and breakers: noted on any, written by a lane, kept during an outage."""

    def __init__(self, events: Events) -> None:
        self._events = events
        self._writing = threading.Lock()
        self._noted: deque[Callable[[], None]] = deque()

    def switched(self, switch: Switch) -> None:
        """Note a switch to another endpoint. It is written at the next turn."""
        self._noted.append(partial(self._events.switched, switch))

    def breaker(self, key: SlotKey, words: str) -> None:
        """Note what became of the breaker of a slot."""
        self._noted.append(partial(self._events.breaker, key, words))

    @property
    def empty(self) -> bool:
        """Whether there is nothing to write."""
        return not self._noted

    def write(self) -> None:
        """Write them in their order. What the database raises is raised, and what is not written is kept."""
        # The farewell may write while a turn that hangs still does: neither may write one twice.
        with self._writing:
            while self._noted:
                self._noted[0]()
                self._noted.popleft()

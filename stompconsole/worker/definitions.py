"""From rows to the view a plan is made from: definitions, handlers, slots, who lives. Blocking calls.

What can't be read or resolved becomes ``Broken`` with its reason, so that one bad row leaves the others alone.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from django.db.models import BooleanField, ExpressionWrapper

from stompconsole import handlers
from stompconsole.conf import Settings
from stompconsole.delivery.payload import Handler
from stompconsole.delivery.specs import ConsumerSpec, Purpose, SubscriptionState, capture_spec
from stompconsole.errors import ConfigurationError, HandlerNotFound
from stompconsole.models import Consumer, Subscription
from stompconsole.worker.leases import free
from stompconsole.worker.registry import Registry
from stompconsole.worker.wanted import Broken, CaptureSpec, Definition, SlotKey, SlotRow, View

logger = logging.getLogger(__name__)

TRY_AGAIN_S = 10.0
"""How long a handler that did not resolve is left alone: trying runs the team's failing import again."""


class Handlers:
    """Resolves handlers, ``patterns`` allowed, and remembers for a while which ones could not be."""

    def __init__(self, patterns: Sequence[str], clock: Callable[[], float] = time.monotonic) -> None:
        self._patterns = tuple(patterns)
        self._clock = clock
        self._failures: dict[str, tuple[float, str]] = {}

    def problem(self, path: str) -> str:
        """Why there is no such handler, in words; empty if there is."""
        until_s, reason = self._failures.get(path, (0.0, ""))
        if self._clock() < until_s:
            return reason
        try:
            self.resolve(path)
        except HandlerNotFound as error:
            self._failures[path] = (self._clock() + TRY_AGAIN_S, f"handler {path}: {error}")
            return self._failures[path][1]
        self._failures.pop(path, None)
        return ""

    def resolve(self, path: str) -> Handler:
        """The handler itself. Raises HandlerNotFound."""
        return handlers.resolve(path, self._patterns)


class Definitions:
    """Reads the view of one worker."""

    def __init__(self, registry: Registry, resolver: Handlers, settings: Settings) -> None:
        self._registry = registry
        self._handlers = resolver
        self._settings = settings

    def view(self) -> View:
        """All that a plan is made from: three queries."""
        # Slots are read last: what is free then was free after everything else was so.
        living = self._registry.living(self._settings.stale_after_s)
        definitions = tuple(map(self._definition, Consumer.objects.select_related("broker").order_by("pk")))
        return View(me=self._registry.worker_id, living=living, definitions=definitions, rows=_slot_rows())

    def _definition(self, row: Consumer) -> Definition:
        spec = _spec(row)
        return Definition(
            consumer_id=row.pk,
            instances=row.instances,
            paused=row.paused,
            consume=self._runnable(spec) if isinstance(spec, ConsumerSpec) else spec,
            capture=_capture(spec) if row.capture else None,
            tried_at=row.breaker_tried_at,
        )

    def _runnable(self, spec: ConsumerSpec) -> ConsumerSpec | Broken:
        problem = self._handlers.problem(spec.handler)
        return Broken(reason=problem) if problem else spec


def _spec(row: Consumer) -> ConsumerSpec | Broken:
    try:
        return row.spec()
    except (ConfigurationError, ValueError) as error:
        # A secret that no key opens, or a word in a column that only another version knows.
        return Broken(reason=f"the definition can't be used: {error}")


def _capture(spec: ConsumerSpec | Broken) -> CaptureSpec | Broken:
    if isinstance(spec, Broken):
        return spec
    return CaptureSpec(consumer_name=spec.name, subscription=capture_spec(spec))


def _slot_rows() -> tuple[SlotRow, ...]:
    rows = Subscription.objects.annotate(is_free=ExpressionWrapper(free(), output_field=BooleanField()))
    columns = ("consumer_id", "purpose", "slot", "worker_id", "is_free", "state", "reason")
    return tuple(_slot_row(row) for row in rows.order_by("pk").values(*columns))


def _slot_row(row: Mapping[str, Any]) -> SlotRow:
    return SlotRow(
        key=SlotKey(consumer_id=row["consumer_id"], purpose=Purpose(row["purpose"]), slot=row["slot"]),
        holder=row["worker_id"],
        free=bool(row["is_free"]),
        state=SubscriptionState(row["state"]),
        reason=row["reason"],
    )

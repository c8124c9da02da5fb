"""The work of a consumer: decode, call the handler, and settle as it turns out."""

from __future__ import annotations

import inspect
import logging
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from stompconsole import correlation
from stompconsole.brokers import Dialect
from stompconsole.delivery import codecs, envelope, retry
from stompconsole.delivery.codecs import UnreadableBody
from stompconsole.delivery.disposition import (
    ACK,
    Ack,
    DeadLetter,
    Disposition,
    Failure,
    TryAgain,
    TryLater,
    failure_of,
)
from stompconsole.delivery.gate import Gate
from stompconsole.delivery.giving_up import Due, GivingUp
from stompconsole.delivery.loops import Loops
from stompconsole.delivery.observer import Observer
from stompconsole.delivery.payload import Handler, Payload
from stompconsole.delivery.sampling import Sampler
from stompconsole.delivery.senders import Senders
from stompconsole.delivery.settlement import Delivery
from stompconsole.delivery.specs import ConsumerSpec

logger = logging.getLogger(__name__)

TELL_EVERY_S = 0.5
"""How long outcomes are counted in silence: a batch of slow messages takes minutes."""

NACKED = Failure(error_type="nack", message="the handler called nack()")


class HandlerWork:
    """Runs one consumer's handler. See ``pipeline.Work``."""

    def __init__(
        self,
        spec: ConsumerSpec,
        handler: Handler,
        senders: Senders,
        worker_name: str,
        observer: Observer,
        *,
        loops: Loops | None = None,
        gate: Gate | None = None,
        sampler: Sampler | None = None,
    ) -> None:
        self._spec = spec
        self._handler = handler
        self._observer = observer
        self._sampler = sampler
        self._giving_up = GivingUp(spec, senders, worker_name)
        self._loops = loops or Loops()
        self._gate = gate or Gate()

    @property
    def trouble(self) -> str:
        return self._giving_up.trouble

    def process(self, batch: Sequence[Delivery], dialect: Dialect) -> None:
        self._observer.received(len(batch))
        counted = _Counted(self._observer)
        for delivery in batch:
            if not delivery.wanted:
                delivery.settlement.leave(delivery)
                continue
            with correlation.InThread(self._correlation_id(delivery)):
                self._process(delivery, dialect, counted)
            if time.perf_counter() - counted.since > TELL_EVERY_S:
                counted.tell()
        counted.tell()

        self._loops.rest()

    def close(self) -> None:
        """End the event loop of this thread, if an async handler had one."""
        self._loops.close()

    def _correlation_id(self, delivery: Delivery) -> str:
        """The message's own. One that may come without gets one, as django-stomp had it: its handler, its dead letter
        and what is published for it all have the same."""
        given = delivery.headers.get(correlation.HEADER, "")
        if not given and not self._spec.correlation_id_required:
            given = delivery.headers[correlation.HEADER] = correlation.new()
            logger.debug("message %s came without a correlation-id and is given %s", delivery.message_id, given)
        return given

    def _process(self, delivery: Delivery, dialect: Dialect, counted: _Counted) -> None:
        if envelope.RETRY_STEP in delivery.headers:
            delivery.resume(envelope.earlier(delivery.headers, self._spec.name))
        started = time.perf_counter()
        disposition = self._handle(delivery)
        counted.seconds.append(time.perf_counter() - started)
        self._gate.tell(delivery, disposition)
        match disposition:
            case Ack():
                counted.acked += 1
                self._settle(delivery)
            case TryAgain(delay_s=delay_s, failure=failure):
                counted.retried += 1
                self._log(delivery, failure, f"is tried again in {delay_s:.1f} s")
                delivery.settlement.again(delivery, delay_s)
            case TryLater(delay_s=delay_s, step=step, failure=failure):
                counted.retried += 1
                due = Due(at=datetime.now(UTC) + timedelta(seconds=delay_s), step=step)
                self._log(delivery, failure, f"is parked until {due.at:%Y-%m-%d %H:%M:%S} UTC")
                self._giving_up.park(delivery, failure, dialect, due)
            case DeadLetter(failure=failure):
                counted.dead_lettered += 1
                self._log(delivery, failure, "is dead-lettered")
                self._giving_up.give_up(delivery, failure, dialect)

    def _settle(self, delivery: Delivery) -> None:
        # A handler may have called payload.ack() itself: then this second time says nothing.
        settled = delivery.settled or delivery.ack()
        if settled and envelope.REPLAY_ID in delivery.headers:
            dead_letter_id, replay_id = envelope.replay_for(delivery.headers, self._spec.name)
            if replay_id:
                self._observer.replayed(dead_letter_id, replay_id)
        elif settled and self._sampler is not None:
            # Not of what was replayed: it looks like the failures it was one of.
            self._sampler.offer(delivery)

    def _handle(self, delivery: Delivery) -> Disposition:
        if self._spec.correlation_id_required and not delivery.headers.get(correlation.HEADER):
            delivery.failed()
            return DeadLetter(
                failure=Failure(error_type="MissingCorrelationId", message="the message has no correlation-id header"),
                of_message=True,
            )
        try:
            body = codecs.decode(delivery.body, delivery.headers, self._spec.codec)
        except UnreadableBody as error:
            delivery.failed()
            return DeadLetter(failure=Failure(error_type="UnreadableBody", message=str(error)), of_message=True)
        return self._call(delivery, body)

    def _call(self, delivery: Delivery, body: object) -> Disposition:
        choice = _ByHand(delivery)
        try:
            result = self._handler(Payload(choice.ack, choice.nack, delivery.headers, body))
            if result is not None and inspect.isawaitable(result):
                self._loops.run(result)
        except BaseException as error:  # whatever a handler raises is its outcome, SystemExit too
            if delivery.settled:
                logger.warning(
                    "the handler of %s raised after it had called ack()",
                    self._spec.name,
                    exc_info=error,
                    extra={"consumer": self._spec.name, **_marks(delivery)},
                )
                return ACK
            delivery.failed()
            if choice.nacked:
                return DeadLetter(failure=failure_of(error))
            return retry.decide(error, delivery.attempts, self._spec.retry, step=delivery.retry_step)
        if choice.nacked:
            delivery.failed()
            return DeadLetter(failure=NACKED)
        return ACK

    def _log(self, delivery: Delivery, failure: Failure, outcome: str) -> None:
        logger.warning(
            "message %s of %s failed with %s: %s, and %s",
            delivery.message_id,
            self._spec.name,
            failure.error_type,
            failure.message[:200],
            outcome,
            extra={"consumer": self._spec.name, **_marks(delivery)},
        )


def _marks(delivery: Delivery) -> dict[str, str]:
    """What tells a log line's message from others."""
    return {
        "destination": delivery.destination,
        "message_id": delivery.message_id,
        "correlation_id": correlation.shown(delivery.headers),
    }


class _Counted:
    """Outcomes of a batch that the observer has not been told yet."""

    __slots__ = ("_observer", "acked", "dead_lettered", "retried", "seconds", "since")

    def __init__(self, observer: Observer) -> None:
        self._observer = observer
        self._reset()

    def tell(self) -> None:
        if self.seconds:
            self._observer.handled(
                acked=self.acked, retried=self.retried, dead_lettered=self.dead_lettered, seconds=self.seconds
            )
            self._reset()

    def _reset(self) -> None:
        self.acked = self.retried = self.dead_lettered = 0
        self.seconds: list[float] = []
        self.since = time.perf_counter()


class _ByHand:
    """``payload.ack`` and ``payload.nack``: the first one called counts."""

    __slots__ = ("_delivery", "nacked")

    def __init__(self, delivery: Delivery) -> None:
        self._delivery = delivery
        self.nacked = False

    def ack(self) -> None:
        if self.nacked:
            self._say("ack() after nack()")
            return
        self._delivery.ack()

    def nack(self) -> None:
        if self._delivery.settled:
            self._say("nack() after ack()")
            return
        self.nacked = True

    def _say(self, what: str) -> None:
        logger.info("%s of message %s is ignored", what, self._delivery.message_id, extra=_marks(self._delivery))

"""Dead-lettering: SEND with the failure in headers, RECEIPT, then ACK. Works on any broker, loses on none.

Until its receipt is there the original stays un-acked, and the SEND is tried again where it may have failed; each try
carries the same failure id, so that a capture that sees it twice keeps it once. One that is only late is waited for.
"""

from __future__ import annotations

import logging
import uuid
from concurrent.futures import Future
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from stompconsole.brokers import Dialect, NackMeans
from stompconsole.delivery import envelope
from stompconsole.delivery.disposition import Failure
from stompconsole.delivery.envelope import Envelope
from stompconsole.delivery.senders import Senders
from stompconsole.delivery.settlement import Delivery
from stompconsole.delivery.specs import AckMode, ConsumerSpec, DeadLetterVia
from stompconsole.errors import ReceiptTimeout

logger = logging.getLogger(__name__)

HELD_UP = "dead letters can't be sent"
"""Words of every trouble with dead-lettering; pages know it by them. The cause stands first: a cell may be short."""

FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """When a message that is parked is to be tried again, and how many long steps are used by then."""

    at: datetime
    step: int


class GivingUp:
    """Dead-letters for one consumer, and parks what is to be tried again later: by the same way, so as safely."""

    def __init__(self, consumer: ConsumerSpec, senders: Senders, worker_name: str) -> None:
        self.trouble = ""
        self._consumer = consumer
        self._sender = senders.of(consumer.broker)
        self._worker_name = worker_name

    def give_up(self, delivery: Delivery, failure: Failure, dialect: Dialect) -> None:
        """Dead-letter a delivery; it is settled once the broker has the dead letter."""
        if self._consumer.broker.dead_letter_via is DeadLetterVia.NACK and self._may_nack(dialect):
            delivery.nack(dialect.nack_headers())
            return
        self._give(delivery, self._envelope(delivery, failure), dialect)

    def park(self, delivery: Delivery, failure: Failure, dialect: Dialect, due: Due) -> None:
        """Have a delivery tried again when it is due; it is settled once the broker has it parked."""
        parked = replace(self._envelope(delivery, failure), due_at=due.at, retry_step=due.step)
        self._give(delivery, parked, dialect)

    def _give(self, delivery: Delivery, told: Envelope, dialect: Dialect) -> None:
        headers = {
            **dialect.resend_headers(envelope.without_ours(delivery.headers)),
            **told.headers(),
            **dialect.send_headers(self._consumer.dead_letters),
        }
        if dialect.duplicate_id_header:
            headers[dialect.duplicate_id_header] = headers[envelope.FAILURE_ID]
        self._send(delivery, headers, FIRST_PAUSE_S)

    def _may_nack(self, dialect: Dialect) -> bool:
        return self._consumer.ack_mode is AckMode.CLIENT_INDIVIDUAL and dialect.nack_means is not NackMeans.LOST

    def _send(self, delivery: Delivery, headers: dict[str, str], pause_s: float) -> None:
        if not delivery.alive:
            # The broker gives it again: a dead letter now would be one of a message that is yet to be handled.
            self.trouble = ""
            return
        sent = self._sender.send(self._consumer.dead_letters, headers, delivery.body)

        def finish(sent: Future[None]) -> None:
            error = sent.exception()
            if error is None:
                self._tell("")
                delivery.ack()
                return
            self._tell(f"{error}; {HELD_UP} to {self._consumer.dead_letters}, what failed stays with the broker")
            if isinstance(error, ReceiptTimeout) and error.outcome is not None:
                # Sent once more it would be there twice when the broker goes on.
                error.outcome.add_done_callback(finish)
                return
            again = min(pause_s * 2, LONGEST_PAUSE_S)
            delivery.settlement.after(pause_s, lambda: self._send(delivery, headers, again))

        sent.add_done_callback(finish)

    def _tell(self, trouble: str) -> None:
        if trouble and not self.trouble:
            # Once: a broker that is full refuses each of thousands.
            logger.warning("%s: %s", self._consumer.name, trouble)
        elif trouble:
            logger.debug("%s: %s", self._consumer.name, trouble)
        elif self.trouble:
            logger.info("%s: dead letters can be sent again", self._consumer.name)
        self.trouble = trouble

    def _envelope(self, delivery: Delivery, failure: Failure) -> Envelope:
        now = datetime.now(UTC)
        dead_letter_id, replay_id = envelope.replay_for(delivery.headers, self._consumer.name)
        return Envelope(
            dead_letter_id=dead_letter_id or str(uuid.uuid4()),
            failure_id=str(uuid.uuid4()),
            consumer=self._consumer.name,
            handler=self._consumer.handler,
            origin=self._consumer.destination,
            error_type=failure.error_type,
            error_message=failure.message,
            traceback=failure.traceback,
            attempts=delivery.attempts,
            first_failed_at=delivery.first_failed_at or now,
            failed_at=now,
            worker=self._worker_name,
            message_id=delivery.message_id,
            replay_id=replay_id,
            sent_back=delivery.headers.get(envelope.SENT_BACK, ""),
        )

"""Capture: from the broker's dead-letter queue into rows. A batch is one transaction, and only then ACKed.

Our own dead letters are stored once, however often they are delivered: the failure's id is a primary key. Those of
the broker at least once. While the database is away they stay in the broker's queue. A message that can't be
stored stays there too, and the subscription says why; the others of its batch go on.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from contextlib import nullcontext

from django.db import DataError, Error, IntegrityError, NotSupportedError
from django.utils import timezone

from stompconsole import correlation
from stompconsole.brokers import Dialect
from stompconsole.deadletters import connecting, storing
from stompconsole.deadletters.captured import Captured, captured, consumer_of
from stompconsole.deadletters.holding import Holder, without_body
from stompconsole.deadletters.locks import one_writer
from stompconsole.deadletters.sealing import Redactors
from stompconsole.delivery.settlement import Delivery
from stompconsole.errors import WorkFailed

_TURN = threading.Lock()
"""Held while a batch is stored where the database has one writer: who finds it busy sleeps, for long perhaps, while our
own threads can take turns at once."""

logger = logging.getLogger(__name__)

MANY = 20
"""From a batch of so many on, more are taken to be on their way: the connection to the database is kept for them."""

_THIS_MESSAGE = (DataError, IntegrityError, NotSupportedError, ValueError, TypeError, OverflowError)
"""What a single message can be to blame for; anything else of the database means that it is in trouble."""


class CaptureWork:
    """Stores the dead letters of one consumer's dead-letter queue. See ``delivery.pipeline.Work``."""

    def __init__(
        self, consumer_id: int, consumer_name: str, dead_letter_destination: str, holder: Holder | None
    ) -> None:
        self._consumer_id = consumer_id
        self._consumer_name = consumer_name
        self._destination = dead_letter_destination
        self._holder = holder

    @property
    def trouble(self) -> str:
        """A holding queue that takes nothing: all else that stands in the way of a capture ends its session."""
        return self._holder.trouble if self._holder is not None else ""

    def process(self, batch: Sequence[Delivery], dialect: Dialect) -> None:
        """Store all, then ACK all. Raises WorkFailed for what is left with the broker."""
        try:
            connecting.make_ready()
            self._process(batch, dialect)
        except Error as error:
            raise WorkFailed(f"dead letters can't be stored, they stay with the broker: {_words(error)}") from error
        finally:
            if len(batch) < MANY:
                connecting.give_back()

    def close(self) -> None:
        """Give the thread's connection back."""
        connecting.close()

    def _process(self, batch: Sequence[Delivery], dialect: Dialect) -> None:
        try:
            self._store(self._read(batch, dialect))
        except _THIS_MESSAGE as error:
            logger.warning("a batch of %d dead letters is stored one by one: %s", len(batch), _words(error))
            self._one_by_one(batch, dialect)
        else:
            for delivery in batch:
                delivery.ack()

    def _one_by_one(self, batch: Sequence[Delivery], dialect: Dialect) -> None:
        left: list[str] = []
        for delivery in batch:
            try:
                self._store(self._read([delivery], dialect))
            except _THIS_MESSAGE as error:
                left.append(f"{delivery.message_id}: {_words(error)}")
                logger.error(  # noqa: TRY400 - the words say it, the body must not get into the log
                    "dead letter %s of %s can't be stored: %s",
                    delivery.message_id,
                    self._destination,
                    _words(error),
                    extra={
                        "consumer": self._consumer_name,
                        "destination": self._destination,
                        "message_id": delivery.message_id,
                        "correlation_id": correlation.shown(delivery.headers),
                    },
                )
            else:
                delivery.ack()
        if left:
            # The session ends now: an ACK still owed would have the broker give again what is stored.
            batch[0].settlement.flush()
            raise WorkFailed(f"{len(left)} dead letters can't be stored and stay with the broker: {left[0]}")

    def _read(self, batch: Sequence[Delivery], dialect: Dialect) -> list[Captured]:
        redactors = Redactors(self._consumer_id, {consumer_of(delivery.headers) for delivery in batch})
        messages = [
            captured(
                delivery.headers,
                delivery.body,
                self._destination,
                dialect,
                timezone.now(),
                redactor=redactors.of(consumer_of(delivery.headers)),
            )
            for delivery in batch
        ]
        pairs = list(zip(batch, messages, strict=True))
        kept = [each for each in pairs if not redactors.stores_body(each[1].consumer)]
        return self._held(pairs, kept, dialect, redactors.broker_id) if kept else messages

    def _held(
        self,
        pairs: Sequence[tuple[Delivery, Captured]],
        kept: Sequence[tuple[Delivery, Captured]],
        dialect: Dialect,
        broker_id: int | None,
    ) -> list[Captured]:
        """The messages, those in ``kept`` without their bodies: these wait in the holding queue from now on."""
        if self._holder is None:
            raise WorkFailed("bodies are not to be stored, and there is nothing to send the messages elsewhere with")
        self._holder.hold(kept, dialect)
        ids = {id(message) for _, message in kept}
        queue = self._holder.destination
        return [
            without_body(message, delivery.body, queue, broker_id) if id(message) in ids else message
            for delivery, message in pairs
        ]

    def _store(self, messages: Sequence[Captured]) -> None:
        with _TURN if one_writer() else nullcontext():
            storing.store(messages, self._consumer_id, self._consumer_name)


def capture_work(
    consumer_id: int, consumer_name: str, dead_letter_destination: str, holder: Holder | None = None
) -> CaptureWork:
    """The work of a capture subscription. Without a ``holder`` it refuses what must not be stored with its body."""
    return CaptureWork(consumer_id, consumer_name, dead_letter_destination, holder)


def _words(error: BaseException) -> str:
    return " ".join(str(error).split())[:500] or type(error).__name__

"""The senders of a process, shared by all in it that send to the same broker."""

from __future__ import annotations

import logging
import threading

from stompconsole.delivery.sender import Sender
from stompconsole.delivery.specs import BrokerSpec
from stompconsole.errors import BrokerError

logger = logging.getLogger(__name__)


class Senders:
    """One sender per broker definition, made when it is first asked for."""

    def __init__(self) -> None:
        self._senders: dict[BrokerSpec, Sender] = {}
        self._lock = threading.Lock()

    def of(self, broker: BrokerSpec) -> Sender:
        with self._lock:
            if broker not in self._senders:
                self._senders[broker] = Sender(broker)
            return self._senders[broker]

    def close(self, timeout_s: float) -> None:
        """Close them all; at most ``timeout_s`` seconds each."""
        with self._lock:
            senders, self._senders = list(self._senders.values()), {}
        for sender in senders:
            try:
                sender.close(timeout_s)
            except BrokerError as error:
                logger.info("closing a sender: %s", error)

"""How a subscription leaves its session: in the order in which nothing is lost and nothing handled is given again.

Handlers finish, ACKs are flushed, UNSUBSCRIBE, DISCONNECT. Finishing first matters: RabbitMQ refuses an ACK after
UNSUBSCRIBE, ActiveMQ ignores it; Artemis counts an attempt where UNSUBSCRIBE was not confirmed.
"""

from __future__ import annotations

import logging
from concurrent.futures import TimeoutError as FutureTimeout

from stompconsole.delivery.pipeline import Pipeline
from stompconsole.delivery.settlement import Settlement
from stompconsole.delivery.specs import AckMode
from stompconsole.errors import BrokerError
from stompconsole.transport.session import Session

logger = logging.getLogger(__name__)

UNSUBSCRIBE_TIMEOUT_S = 2.0
DISCONNECT_TIMEOUT_S = 2.0
FINISH_TIMEOUT_S = 86_400.0
"""Finishing itself has no limit but this: whoever drains sets one and aborts."""


def leave(session: Session, mode: AckMode, subscription_id: str, settlement: Settlement, pipeline: Pipeline) -> None:
    """Finish what is in a handler, give the rest back, and close the session; ends early if the session does."""
    if mode is AckMode.AUTO:
        # Nothing goes back: what has arrived is ours, and is worked off once no more can come.
        _unsubscribe(session, subscription_id, settlement.destination)
        settlement.wait_idle(FINISH_TIMEOUT_S)
    else:
        settlement.drain()
        pipeline.empty()
        settlement.wait_idle(FINISH_TIMEOUT_S)
        settlement.shut()
        _unsubscribe(session, subscription_id, settlement.destination)
    session.disconnect(DISCONNECT_TIMEOUT_S)


def _unsubscribe(session: Session, subscription_id: str, destination: str) -> None:
    try:
        session.unsubscribe(subscription_id, {}).result(UNSUBSCRIBE_TIMEOUT_S)
    except (BrokerError, FutureTimeout) as error:
        logger.info("UNSUBSCRIBE of %s was not confirmed: %s", destination, error or "no RECEIPT")

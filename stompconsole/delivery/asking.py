"""How a subscription asks its broker for messages, and what it makes of a refusal, from one session to the next."""

from __future__ import annotations

from dataclasses import replace

from stompconsole.brokers import Dialect
from stompconsole.delivery.specs import SubscriptionSpec
from stompconsole.transport.session import FrameSink, Session


class Asking:
    """One subscription's. ``wanted`` is what is asked for, ``remark`` says what of it is not as defined."""

    def __init__(self, spec: SubscriptionSpec) -> None:
        self._spec = spec
        self.wanted = spec.wanted
        self.remark = ""

    def ask(self, session: Session, dialect: Dialect, subscription_id: str, prefetch: int, sink: FrameSink) -> None:
        """Subscribe, and wait for the receipt. Raises what that raises."""
        frame = dialect.subscribe(replace(self.wanted, prefetch=prefetch))
        headers = {**frame.headers, **dict(self._spec.headers)}
        subscribed = session.subscribe(subscription_id, frame.destination, self._spec.ack_mode, headers, sink)
        subscribed.result(self._spec.broker.receipt_timeout_s)

    def refused(self, dialect: Dialect, reason: str) -> str:
        """What is to be said of a refusal. The next time it may be asked for in another way."""
        refused = f"SUBSCRIBE {self._spec.destination}: {reason}"
        if remedy := dialect.remedy(self.wanted, reason):
            refused = f"{refused} {remedy}"
        # Back to the first way if another one was refused: it declares a queue that was deleted meanwhile.
        other = dialect.otherwise(self.wanted, reason)
        self.wanted, self.remark = (other.wanted, other.remark) if other else (self._spec.wanted, "")
        return refused

    def stands_in(self, session: Session) -> str:
        """Says so when a session is with the standby."""
        primary = self._spec.broker.endpoints[0]
        return "" if session.endpoint == primary else f"on the standby {session.endpoint}, in place of {primary}"

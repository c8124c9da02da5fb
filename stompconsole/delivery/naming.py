"""What a subscription calls itself on the wire: its connection's client id, its own id."""

from __future__ import annotations

import itertools
import uuid

from stompconsole.delivery.specs import SubscriptionSpec

_ids = itertools.count(1)


def client_id(spec: SubscriptionSpec) -> str:
    """For brokers that know a durable subscriber by it; else only a name, which no two connections share."""
    if spec.wanted.is_durable:
        return spec.subscriber
    return f"{spec.client_id}-{uuid.uuid4().hex}-listener" if spec.client_id else ""


def subscription_id(spec: SubscriptionSpec) -> str:
    """The one given, as django-stomp made it, else one that this process has not used yet."""
    return f"{spec.subscription_id}-listener" if spec.subscription_id else f"stompconsole-{next(_ids)}"

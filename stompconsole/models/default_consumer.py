"""A consumer as the ``STOMP_*`` settings of django-stomp describe one: for ``pubsub`` and ``import_pubsub``.

Owns which fields of a row those settings decide. A row that is stored is the operator's: settings that change later
do not change it.
"""

from __future__ import annotations

from typing import Any

from stompconsole.brokers.subscribing import TOPIC
from stompconsole.conf import StompSettings
from stompconsole.models.broker import Broker
from stompconsole.models.consumer import Consumer

FIELDS_OF = {
    "STOMP_PROCESS_MSG_WORKERS": ("concurrency",),
    "STOMP_PROCESS_MSG_ON_BACKGROUND": ("concurrency", "prefetch"),
    "STOMP_CORRELATION_ID_REQUIRED": ("correlation_id_required",),
    "STOMP_DURABLE_TOPIC_SUBSCRIPTION": ("durable",),
    "STOMP_LISTENER_CLIENT_ID": ("client_id",),
    "STOMP_SUBSCRIPTION_ID": ("subscription_id",),
    "STOMP_DEFAULT_EXCLUSIVE_QUEUE": ("exclusive",),
}
"""The fields of a row that each setting decides."""


def from_settings(stomp: StompSettings, *, name: str, broker: Broker, destination: str, handler: str) -> Consumer:
    """The row, not saved. ``broker`` may be one that is not saved either, if the row is never to be."""
    return Consumer(name=name, broker=broker, destination=destination, handler=handler, **_fields(stomp, destination))


def _fields(stomp: StompSettings, destination: str) -> dict[str, Any]:
    return {
        "concurrency": stomp.threads,
        "prefetch": stomp.prefetch,
        "correlation_id_required": stomp.correlation_id_required,
        "durable": stomp.durable_topic_subscription and destination.startswith(TOPIC),
        "client_id": stomp.listener_client_id,
        "subscription_id": stomp.subscription_id,
        "exclusive": stomp.default_exclusive_queue,
    }

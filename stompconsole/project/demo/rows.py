"""The rows the demo needs: who logs in, where the broker is, which consumers run. What an operator changed stays."""

from __future__ import annotations

from typing import Any

from django.contrib.auth import get_user_model

from stompconsole.models import Broker, Consumer
from stompconsole.models.default_broker import keep_default_broker

USER = "admin"
BROKER = "demo"

CONSUMERS: dict[str, dict[str, Any]] = {
    "orders": {"concurrency": 2, "prefetch": 50},
    "payments": {
        "concurrency": 4,
        "prefetch": 20,
        "max_attempts": 2,
        "retry_first_delay_s": 0.5,
        "retry_later": "1m, 5m",
    },
    "mail": {"concurrency": 1, "prefetch": 100},
}


def make_rows(password: str, port: int | None) -> Broker:
    """Create or bring into step the user, the broker and the consumers; gives the broker the consumers use.

    ``port`` is the development broker's; None means the broker of the STOMP_* settings.
    """
    _make_user(password)
    broker = _broker(port)
    for name, fields in CONSUMERS.items():
        consumer, created = Consumer.objects.get_or_create(
            name=name,
            defaults={
                "broker": broker,
                "destination": f"/queue/demo.{name}",
                "handler": f"stompconsole.project.handlers.{name}",
                **fields,
            },
        )
        if not created and consumer.broker_id != broker.pk:
            consumer.broker = broker
            consumer.save()
    return broker


def _make_user(password: str) -> None:
    users = get_user_model().objects
    user, _ = users.get_or_create(username=USER, defaults={"is_staff": True, "is_superuser": True})
    user.set_password(password)
    user.save()


def _broker(port: int | None) -> Broker:
    if port is None:
        broker = keep_default_broker()
        if broker is None:
            raise RuntimeError("STOMP_SERVER_HOST is not set")
        return broker
    broker, _ = Broker.objects.update_or_create(name=BROKER, defaults={"host": "127.0.0.1", "port": port})
    return broker

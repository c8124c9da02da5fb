"""The Django app: finds the handlers at start-up and wakes the workers when a definition changes."""

from __future__ import annotations

from typing import Any

from django.apps import AppConfig
from django.db.models.signals import post_delete, post_save


class StompConsoleConfig(AppConfig):
    """Registers checks, discovers handlers, connects the nudges."""

    name = "stompconsole"
    verbose_name = "STOMP console"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        # Neither can be imported before the models can; the checks register themselves.
        from stompconsole import checks, handlers  # noqa: F401
        from stompconsole.models import Broker, BrokerBrowse, BrokerReplay, Consumer, Replay, Trial

        for model in (Broker, Consumer, Replay, Trial, BrokerReplay, BrokerBrowse):
            for signal in (post_save, post_delete):
                signal.connect(_nudge, sender=model, dispatch_uid=f"stompconsole.nudge.{model.__name__}")
        handlers.autodiscover()


def _nudge(**_: Any) -> None:
    """Wake the workers once the row is committed; a lost nudge costs them one poll, no more."""
    from stompconsole.worker.nudges import nudge_on_commit

    nudge_on_commit()

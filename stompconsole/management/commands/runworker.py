"""``runworker``: Channels' own command, which on the channel ``stomp`` runs the consumers of the console."""

from __future__ import annotations

import logging
from typing import Any, ClassVar

from channels.layers import InMemoryChannelLayer, get_channel_layer
from channels.management.commands.runworker import Command as ChannelsCommand
from channels.routing import get_default_application
from django.core.management import CommandError

from stompconsole.conf import settings_now
from stompconsole.errors import ConfigurationError
from stompconsole.worker.channels_worker import ChannelsWorker
from stompconsole.worker.nudges import CHANNEL

logger = logging.getLogger(__name__)


class Command(ChannelsCommand):  # type: ignore[misc]
    """Channels' worker; ``runworker stomp`` runs the consumers that are defined in the admin."""

    help = "Listens on channels. On the channel 'stomp' it runs the consumers that are defined in the admin."
    worker_class = ChannelsWorker
    # Some of Django's checks ask the database, and fail when it is away: a worker waits for it instead.
    requires_system_checks: ClassVar[list[str]] = []

    def handle(self, *args: Any, **options: Any) -> None:
        channels: list[str] = options["channels"]
        if CHANNEL not in channels:
            super().handle(*args, **options)
            return
        try:
            settings_now()
        except ConfigurationError as error:
            raise CommandError(str(error)) from error
        logger.info("Running worker for channels %s", channels)
        others = [channel for channel in channels if channel != CHANNEL]
        worker = self.worker_class(
            # A project whose only worker is ours needs no ASGI application for it.
            application=get_default_application() if others else None,
            channels=channels,
            channel_layer=_channel_layer(options["layer"], others),
        )
        worker.run()


def _channel_layer(alias: str, others: list[str]) -> Any:
    layer = get_channel_layer(alias)
    if layer is not None:
        return layer
    if others:
        raise CommandError("You do not have any CHANNEL_LAYERS configured.")
    logger.info("there is no channel layer %r: changes are seen at the next poll", alias)
    return InMemoryChannelLayer()

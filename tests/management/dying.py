"""``runworker stomp`` with a side task that has a bug."""

from __future__ import annotations

import asyncio
import uuid

import django
from django.core.management import call_command

from stompconsole.delivery.senders import Senders


class Dying:
    """Fails at once."""

    def __init__(self, worker_id: uuid.UUID, worker_name: str, senders: Senders) -> None:
        return

    async def run(self, stop: asyncio.Event) -> None:
        raise ZeroDivisionError("there is a bug in it")

    def nudge(self) -> None:
        return


if __name__ == "__main__":
    django.setup()
    from stompconsole.worker.channels_worker import ChannelsWorker

    ChannelsWorker.side_tasks = (Dying,)
    call_command("runworker", "stomp")

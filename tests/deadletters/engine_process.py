"""An engine as a process: ``python -m tests.deadletters.engine_process <worker id> <lease in seconds> <engine>``."""

from __future__ import annotations

import asyncio
import signal
import sys
import uuid

import django
from django.test import override_settings


async def work(worker_id: uuid.UUID, engine: str) -> None:
    """Run until SIGTERM."""
    # Models can be imported once Django is set up.
    from stompconsole.deadletters.replaying import ReplayEngine
    from stompconsole.deadletters.trying.engine import TrialEngine
    from stompconsole.delivery.senders import Senders

    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    senders = Senders()
    print("running", flush=True)
    make = {"ReplayEngine": ReplayEngine, "TrialEngine": TrialEngine}[engine]
    await make(worker_id, "there:1", senders).run(stop)
    senders.close(2.0)


if __name__ == "__main__":
    django.setup()
    with override_settings(STOMPCONSOLE={"LEASE": float(sys.argv[2]), "TRY_HANDLERS": True}):
        asyncio.run(work(uuid.UUID(sys.argv[1]), sys.argv[3]))

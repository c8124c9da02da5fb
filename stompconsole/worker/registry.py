"""The row of this worker: that it is there, that it lives, that it has stopped. Blocking calls."""

from __future__ import annotations

import os
import socket
import sys
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from uuid import UUID

from django.db.models import QuerySet
from django.db.models.functions import Now

import stompconsole
from stompconsole.models import Worker, WorkerState, living_workers

FORGOTTEN_AFTER = timedelta(days=1)
"""How long rows of workers that have stopped or gone silent are kept."""


class Registry:
    """One worker's row, and who else is there. ``name`` is how people know this worker: host and process; ``release``
    is what runs in it, as the settings name it."""

    def __init__(self, worker_id: UUID, release: str = "") -> None:
        self.worker_id = worker_id
        self._release = release
        self.name = f"{socket.gethostname()}:{os.getpid()}"

    def beat(self, state: WorkerState) -> None:
        """Say that this worker lives; makes its row if there is none (any more)."""
        beaten = self._row().update(state=state, heartbeat_at=Now(), memory_bytes=memory_bytes())
        if not beaten:
            self._register(state)

    def stopped(self) -> bool:
        """Say that this worker has stopped; false when it never had a row."""
        return bool(self._row().update(state=WorkerState.STOPPED, heartbeat_at=Now(), memory_bytes=0))

    def living(self, stale_after_s: float) -> frozenset[UUID]:
        """The workers that take slots and were heard of in the last seconds, this one included."""
        heard = Worker.objects.filter(living_workers(stale_after_s))
        return frozenset(heard.values_list("pk", flat=True)) | {self.worker_id}

    def leads(self, stale_after_s: float) -> bool:
        """Whether this worker is the one of the living that does what one is enough for."""
        return self.worker_id == min(self.living(stale_after_s))

    def purge(self) -> int:
        """Delete rows of workers that stopped or went silent long ago; returns how many."""
        old = Worker.objects.filter(heartbeat_at__lt=Now() - FORGOTTEN_AFTER).exclude(pk=self.worker_id)
        return old.delete()[0]

    def _row(self) -> QuerySet[Worker]:
        return Worker.objects.filter(pk=self.worker_id)

    def _register(self, state: WorkerState) -> None:
        host, _, pid = self.name.rpartition(":")
        Worker.objects.create(
            pk=self.worker_id,
            hostname=host[:255],
            pid=int(pid),
            version=stompconsole.__version__,
            release=self._release,
            state=state,
            started_at=Now(),
            heartbeat_at=Now(),
            memory_bytes=memory_bytes(),
        )


def memory_bytes() -> int:
    """Resident memory of this process; its peak where the system does not tell, 0 where it tells nothing."""
    with suppress(OSError, ValueError, IndexError):
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")
    with suppress(ImportError):
        import resource

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024
    return 0

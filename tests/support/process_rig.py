"""A server that is one process: how it is stopped, killed and read is the same for all of them."""

from __future__ import annotations

import signal
from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar

from tests.support.processes import ManagedProcess
from tests.support.servers import LOG_CHARACTERS

STOP_TIMEOUT_S = 60.0


class ProcessRig(ABC):
    """Runs one process in ``folder``; subclasses say how it is started."""

    stop_signal: ClassVar[signal.Signals] = signal.SIGTERM

    def __init__(self, server: Path, folder: Path) -> None:
        self._server = server
        self._folder = folder
        self._process: ManagedProcess | None = None

    @abstractmethod
    def launch(self) -> ManagedProcess:
        """Write what it is configured by and start the process."""

    def start(self) -> None:
        if not self.is_running():
            self._process = self.launch()

    def is_running(self) -> bool:
        return self._process is not None and self._process.returncode is None

    def stop(self) -> None:
        if self._process is not None and self.is_running():
            self._process.signal(self.stop_signal)
            self._process.wait(STOP_TIMEOUT_S)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()

    def close(self) -> None:
        self.kill()

    def log(self) -> str:
        return self._process.text()[-LOG_CHARACTERS:] if self._process is not None else ""

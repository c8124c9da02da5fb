"""The development broker as one of the brokers: the same login, stop and restart as the real ones."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from stompconsole.devbroker import BrokerOptions
from tests.support.brokers import TestBroker
from tests.support.devbroker import RunningDevBroker

USER = "demo"
PASSWORD = "demo"


class DevRig:
    """Runs one development broker, on a port that stays the same over restarts. Its messages survive a stop."""

    def __init__(self) -> None:
        self.running = RunningDevBroker(BrokerOptions(port=0, user=USER, password=PASSWORD))
        self._is_running = False

    def start(self) -> None:
        if not self._is_running:
            self.running.start()
            self._is_running = True

    def is_running(self) -> bool:
        return self._is_running

    def stop(self) -> None:
        if self._is_running:
            self.running.stop()
            self._is_running = False

    kill = stop

    def close(self) -> None:
        self._is_running = False
        self.running.close()

    def log(self) -> str:
        return "(it logs into the log of the test)"


@contextmanager
def dev_broker() -> Iterator[TestBroker]:
    """A running development broker."""
    rig = DevRig()
    try:
        rig.start()
        yield TestBroker(name="devbroker", port=rig.running.port, user=USER, password=PASSWORD, rig=rig)
    finally:
        rig.close()

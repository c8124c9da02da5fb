"""Workers as processes of their own, beside a development broker, on the test's database."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.brokers import TestBroker
from tests.worker.stage import Stage


@pytest.fixture
def stage(transactional_db: None, devbroker: TestBroker, tmp_path: Path) -> Iterator[Stage]:
    """A broker, a database, a ledger; workers come when they are called and go at the end."""
    with Stage(devbroker, tmp_path) as made:
        yield made

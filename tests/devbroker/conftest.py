"""A development broker of its own for each test, and the versions of STOMP it speaks."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.devbroker import RunningDevBroker, running_devbroker


@pytest.fixture
def broker() -> Iterator[RunningDevBroker]:
    with running_devbroker() as running:
        yield running


@pytest.fixture(params=["1.1", "1.2"])
def version(request: pytest.FixtureRequest) -> str:
    return str(request.param)

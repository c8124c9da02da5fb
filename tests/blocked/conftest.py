"""Brokers that can be blocked, each kind in turn, and put right after each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.support import blockades, pool, rabbitmq
from tests.support.blockades import Blockade
from tests.support.brokers import TestBroker
from tests.support.rabbitmq import RabbitMQ
from tests.support.servers import Unavailable

KINDS = ("memory_alarm", "disk_alarm", "full_store", "full_store_told", "full_disk")


@pytest.fixture(params=[pytest.param(kind, marks=pytest.mark.broker) for kind in KINDS])
def blockade(request: pytest.FixtureRequest) -> Iterator[Blockade]:
    """A broker that takes nothing from ``block`` to ``clear``: for an alarm, for a full store, for a full disk."""
    made: Blockade = request.getfixturevalue(request.param)
    try:
        yield made
    finally:
        made.clear()


@pytest.fixture(scope="session")
def node(server_pool: pool.ServerPool, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestBroker]:
    """The RabbitMQ of this run; one of our own where that is somebody else's, whom an alarm would hold up."""
    shared = server_pool.broker("rabbitmq")
    if isinstance(shared.rig, RabbitMQ):
        yield shared
        return
    own = rabbitmq.make(_server("rabbitmq"), tmp_path_factory.mktemp("node"))
    own.start()
    yield own
    own.rig.close()


@pytest.fixture(scope="session")
def memory_alarm(node: TestBroker) -> Blockade:
    return blockades.memory_alarm(node)


@pytest.fixture(scope="session")
def disk_alarm(node: TestBroker) -> Blockade:
    return blockades.disk_alarm(node)


@pytest.fixture(scope="session")
def full_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Blockade]:
    made = blockades.full_store(_server("activemq"), tmp_path_factory.mktemp("full-store"))
    yield made
    made.close()


@pytest.fixture(scope="session")
def full_store_told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Blockade]:
    made = blockades.full_store_told(_server("activemq"), tmp_path_factory.mktemp("full-store-told"))
    yield made
    made.close()


@pytest.fixture(scope="session")
def full_disk() -> Iterator[Blockade]:
    base = blockades.memory_folder()
    if base is None:
        pytest.skip("no file system in memory to fill: /dev/shm is missing or too small")
    with TemporaryDirectory(dir=base, prefix="stompconsole-tests-", ignore_cleanup_errors=True) as folder:
        made = blockades.FullDisk(_server("artemis"), Path(folder))
        yield made
        made.close()


def _server(kind: str) -> Path:
    ways = pool.KINDS[kind]
    try:
        return pool._server(ways)
    except Unavailable as reason:
        ways.tell_missing(str(reason))
        raise

"""``move_messages`` and ``ack_all_messages`` as processes that are killed, cut off, told to stop: none is lost."""

from __future__ import annotations

import signal
import time
from collections import Counter

import pytest

from tests.management.queues import bodies, environment_of, fill, numbered, session_of, through, unused
from tests.support import processes
from tests.support.brokers import TestBroker
from tests.support.processes import ManagedProcess
from tests.support.proxy import Proxy
from tests.support.waiting import until

pytestmark = pytest.mark.slow

COUNT = 3_000
BYTES = 300

IN_THE_MIDDLE = COUNT * BYTES // 3
"""Bytes of SENDs that have gone through when something happens."""


@pytest.fixture
def filled(any_broker: TestBroker) -> tuple[str, str]:
    """A source with messages, and a target."""
    source = unused("source")
    fill(any_broker, source, numbered(COUNT, BYTES))
    return source, unused("target")


def moving(broker: TestBroker, *arguments: str) -> ManagedProcess:
    environment = environment_of(broker, STOMP_WAIT_TO_CONNECT="0.5")
    return processes.start_manage("move_messages", *arguments, env=environment)


def wait_until_in_the_middle(proxy: Proxy) -> None:
    wait_for_bytes(proxy, IN_THE_MIDDLE)


def wait_for_bytes(proxy: Proxy, count: int) -> None:
    """Wait until that many more have been sent."""
    begun_at = proxy.counts.from_client
    until(lambda: proxy.counts.from_client - begun_at > count, 30, "it is in the middle of it")


def assert_none_is_lost(broker: TestBroker, source: str, target: str) -> None:
    """Everything is in the target, once where the broker drops what it has had already, and nothing in the source."""
    assert bodies(broker, source) == []
    arrived = Counter(bodies(broker, target))
    if broker.strands_messages and len(arrived) < COUNT:
        broker.restart()
        with moving(broker, source, target, "--until-empty") as process:
            assert process.wait() == 0
        arrived.update(bodies(broker, target))
    assert sorted(arrived) == numbered(COUNT, BYTES)
    with session_of(broker.broker_spec()) as (_, dialect):
        if dialect.duplicate_id_header:
            assert set(arrived.values()) == {1}


def test_a_kill_in_the_middle_loses_nothing(any_broker: TestBroker, proxy: Proxy, filled: tuple[str, str]) -> None:
    with moving(through(any_broker, proxy.endpoint), *filled) as process:
        wait_until_in_the_middle(proxy)
        process.kill()
    with moving(any_broker, *filled, "--until-empty") as process:
        assert process.wait() == 0
        assert f"Moved {COUNT:,} messages" not in process.text(), "the one that was killed had moved some"
    assert_none_is_lost(any_broker, *filled)


def test_connections_that_are_cut_lose_nothing(any_broker: TestBroker, proxy: Proxy, filled: tuple[str, str]) -> None:
    with moving(through(any_broker, proxy.endpoint), *filled, "--until-empty") as process:
        for _ in range(3):
            wait_for_bytes(proxy, IN_THE_MIDDLE // 3)
            proxy.cut()
        assert process.wait() == 0
        assert "The connection to" in process.text()
    assert_none_is_lost(any_broker, *filled)


def test_a_broker_that_is_killed_in_the_middle_loses_nothing(
    any_broker: TestBroker, proxy: Proxy, filled: tuple[str, str]
) -> None:
    with moving(through(any_broker, proxy.endpoint), *filled, "--until-empty", "--idle", "4") as process:
        wait_until_in_the_middle(proxy)
        any_broker.kill()
        any_broker.start()
        assert process.wait(60) == 0
    assert_none_is_lost(any_broker, *filled)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_in_the_middle_ends_it_in_good_order(
    any_broker: TestBroker, proxy: Proxy, filled: tuple[str, str], number: signal.Signals
) -> None:
    source, target = filled
    with moving(through(any_broker, proxy.endpoint), source, target) as process:
        wait_until_in_the_middle(proxy)
        process.signal(number)
        assert process.wait() == 0
        said = process.wait_for_line(r"^Moved ([\d,]+) messages from .*It was told to stop")
    moved = bodies(any_broker, target)
    assert len(moved) == int(said[1].replace(",", ""))
    assert Counter(moved + bodies(any_broker, source)) == Counter(numbered(COUNT, BYTES))


def test_five_thousand_are_moved_in_seconds(any_broker: TestBroker) -> None:
    source, target = unused("source"), unused("target")
    fill(any_broker, source, numbered(5_000))
    began = time.monotonic()
    with moving(any_broker, source, target, "--limit", "5000") as process:
        assert process.wait(60) == 0
    # Five seconds on a machine that does nothing else; here other tests run, and servers start.
    assert time.monotonic() - began < 20
    assert len(bodies(any_broker, target)) == 5_000

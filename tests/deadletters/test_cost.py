"""What a replay costs in memory: bodies are read by the portion, and are gone when they are confirmed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from stompconsole.deadletters import portions, selection
from stompconsole.deadletters.outcomes import progress
from stompconsole.models import DeadLetter, Replay, ReplayState
from tests.deadletters.engines import start_engine
from tests.deadletters.making import make_broker, make_consumer, make_dead_letters, make_worker
from tests.support.devbroker import RunningDevBroker, running_devbroker
from tests.support.waiting import until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]

MIB = 2**20


@pytest.fixture
def wire() -> Iterator[RunningDevBroker]:
    with running_devbroker() as running:
        yield running


def peak_bytes(pid: int) -> int:
    """The most memory a process has had so far (proc(5), VmHWM)."""
    found = re.search(r"^VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1]) * 1_024


def replayed(letters: list[DeadLetter], pid: int) -> int:
    """Replay them in the process; the most memory it has had."""
    replay = selection.replay_selected([letter.pk for letter in letters], actor=None).replay
    assert replay is not None
    done = Replay.objects.filter(pk=replay.pk, state=ReplayState.DONE)
    until(done.exists, 60, f"{replay} is done")
    assert progress(replay).sent == len(letters)
    return peak_bytes(pid)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from Linux' proc")
def test_a_replay_holds_a_few_of_its_bodies_at_a_time(wire: RunningDevBroker) -> None:
    consumer = make_consumer(make_broker(port=wire.port, receipt_timeout_s=20.0))
    body = b"x" * MIB
    few = make_dead_letters(consumer, 40, body=body, body_size=MIB)
    many = make_dead_letters(consumer, 240, body=body, body_size=MIB)
    with start_engine(make_worker().pk, lease_s=30.0) as process:
        process.wait_for_line("running")
        after_few = replayed(few, process.pid)
        after_many = replayed(many, process.pid)
    assert after_many - after_few < 2 * portions.PORTION_BYTES, "240 MB went through"

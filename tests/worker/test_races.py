"""Races between processes, on SQLite and on PostgreSQL: exactly one winner for each slot."""

from __future__ import annotations

import sys
import time
from collections import Counter

import pytest

from tests.support import processes

pytestmark = pytest.mark.slow

SLOTS = 30
PROCESSES = 4


def race(url: str, *arguments: object) -> processes.ManagedProcess:
    env = {"DATABASE_URL": url, "DJANGO_SETTINGS_MODULE": "stompconsole.project.settings"}
    return processes.start([sys.executable, "-m", "tests.worker.race", *map(str, arguments)], env=env)


def test_processes_that_race_for_slots_have_one_winner_each(any_database: str) -> None:
    preparing = race(any_database, "prepare", SLOTS)
    assert preparing.wait(60) == 0, preparing.text()
    begin_at = time.time() + 4
    rivals = [race(any_database, "run", SLOTS, begin_at) for _ in range(PROCESSES)]
    for rival in rivals:
        assert rival.wait(90) == 0, rival.text()
    wins = Counter(slot for rival in rivals for slot in rival.wait_for_line(r"^won(.*)$").group(1).split())
    assert wins == dict.fromkeys(map(str, range(SLOTS)), 1)

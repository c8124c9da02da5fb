"""The tests of this folder once more on PostgreSQL, where transactions really run at the same time."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from django.db import connection

from tests.support.processes import start

URL = os.environ.get("STOMPCONSOLE_TEST_POSTGRES", "")
FILES = ["test_capture", "test_filters", "test_outcomes", "test_retention", "test_selection", "test_two_operators"]


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.skipif(not URL, reason="STOMPCONSOLE_TEST_POSTGRES names no database")
@pytest.mark.skipif(connection.vendor != "sqlite", reason="these tests run on another database already")
def test_capture_replay_and_discard_hold_on_postgresql(tmp_path: Path) -> None:
    env = {"DATABASE_URL": URL, "STOMPCONSOLE_TEST_RUN": str(tmp_path), "STOMPCONSOLE_VAR": str(tmp_path)}
    files = [f"tests/deadletters/{name}.py" for name in FILES]
    with start([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *files], env=env) as process:
        assert process.wait(280) == 0, process.text()

"""``python -m stompconsole.devbroker`` as a process."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.support.devbroker import RunningDevBroker
from tests.support.rawstomp import connected

COMMAND = [sys.executable, "-W", "error", "-m", "stompconsole.devbroker"]
TIMEOUT_S = 20.0


@contextmanager
def process(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    with subprocess.Popen([*COMMAND, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        try:
            assert running.stdout is not None
            line = running.stdout.readline()
            match = re.fullmatch(r"Development broker on 127\.0\.0\.1:(\d+) \(in memory, not for production\)\n", line)
            assert match is not None, line
            yield running, int(match[1])
        finally:
            running.kill()


def ended(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, timeout=TIMEOUT_S, check=False)


@pytest.mark.parametrize("signal_number", [signal.SIGTERM, signal.SIGINT])
def test_it_says_where_it_listens_and_ends_in_good_order(signal_number: signal.Signals) -> None:
    with process("--port", "0") as (running, port), connected("127.0.0.1", port) as client:
        client.done("SEND", {"destination": "/queue/a"})
        running.send_signal(signal_number)
        assert running.wait(TIMEOUT_S) == 0
        assert client.wait_until_closed() == []
        assert running.stderr is not None
        assert running.stderr.read() == ""


def test_it_may_ask_for_a_login() -> None:
    with process("--port", "0", "--user", "app", "--password", "secret") as (_, port):
        connected("127.0.0.1", port, headers={"login": "app", "passcode": "secret"}).close()
        with pytest.raises(AssertionError, match="password is wrong"):
            connected("127.0.0.1", port)


def test_a_host_that_others_could_reach_is_refused() -> None:
    result = ended("--host", "0.0.0.0")

    assert result.returncode == 2
    assert result.stderr.startswith("devbroker: the development broker can't listen on '0.0.0.0'")
    assert "Traceback" not in result.stderr


def test_a_port_in_use_is_told(broker: RunningDevBroker) -> None:
    result = ended("--port", str(broker.port))

    assert result.returncode == 2
    assert "Choose another port" in result.stderr


def test_help_says_that_it_is_not_for_production() -> None:
    result = ended("--help")

    assert result.returncode == 0
    assert "NOT FOR PRODUCTION" in " ".join(result.stdout.split())


def test_it_needs_no_django_and_no_third_party_package() -> None:
    script = (
        "import sys, stompconsole.devbroker.__main__\n"
        "third_party = {name.partition('.')[0] for name in sys.modules} - set(sys.stdlib_module_names)\n"
        "print(sorted(name for name in third_party if not name.startswith('_')))"
    )
    result = subprocess.run(
        [sys.executable, "-S", "-c", script], capture_output=True, text=True, timeout=TIMEOUT_S, check=True
    )

    assert result.stdout.strip() == "['stompconsole']"

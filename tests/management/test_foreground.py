"""What foreground commands have in common: signals, threads, the end, and what they write."""

from __future__ import annotations

import io
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.management.base import OutputWrapper
from django.test import override_settings

from stompconsole.management.commands import pubsub
from stompconsole.management.console import LINE_EVERY_S, REWRITE_EVERY_S, Console
from tests.management.calling import calling
from tests.management.queues import environment_of, fill, settings_of
from tests.support import processes
from tests.support.brokers import TestBroker
from tests.support.dev_rig import DevRig
from tests.support.ports import free_port
from tests.support.waiting import until

HANDLERS = "tests.management.sample"


class Clock:
    """A clock that is set by hand."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


class Terminal(io.StringIO):
    """What is written to a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def at(devbroker: TestBroker) -> Iterator[TestBroker]:
    """The settings lead to a development broker."""
    with override_settings(**settings_of(devbroker, STOMP_WAIT_TO_CONNECT="0.2")):
        yield devbroker


def depth(broker: TestBroker, destination: str) -> int:
    assert isinstance(broker.rig, DevRig)
    return broker.rig.running.depth(destination)


def test_a_command_in_a_thread_is_ended_by_stop(at: TestBroker) -> None:
    before = signal.getsignal(signal.SIGTERM)
    with calling(pubsub.Command(), "/queue/a", f"{HANDLERS}.keep") as running:
        running.wait_for("running")
        assert signal.getsignal(signal.SIGTERM) == before
        assert "Ended." in running.stop()


def test_a_subclass_may_name_destination_and_handler_itself(at: TestBroker) -> None:
    class Import(pubsub.Command):
        """As a package on top of django-stomp does it."""

        def add_arguments(self, parser: Any) -> None:
            return

        def handle(self, *args: Any, **options: Any) -> None:
            super().handle(source_destination="/queue/a", callback_function=f"{HANDLERS}.keep")

    with calling(Import()) as running:
        running.wait_for("running")
        fill(at, "/queue/a", [b'"1"'], **{"correlation-id": "1"})
        until(lambda: depth(at, "/queue/a") == 0, what="it is handled")
        assert "Ended." in running.stop()


def test_arguments_can_be_given_by_name(at: TestBroker) -> None:
    names = {"source_destination": "/queue/a", "callback_function": f"{HANDLERS}.keep"}
    with calling(pubsub.Command(), **names) as running:
        running.wait_for("/queue/a goes to tests.management.sample.keep")


@pytest.mark.long
def test_why_it_waits_is_said_once_and_not_at_each_attempt(at: TestBroker, caplog: pytest.LogCaptureFixture) -> None:
    at.stop()
    with calling(pubsub.Command(), "/queue/a", f"{HANDLERS}.keep") as running:
        until(lambda: caplog.text.count("pubsub is backing off") > 4, what="several attempts")
        running.stop()
    assert running.text().count("backing off") == 1


def test_it_says_when_it_is_on_the_standby(at: TestBroker) -> None:
    gone = free_port()
    lead = settings_of(at, STOMP_SERVER_PORT=gone, STOMP_SERVER_STANDBY_HOST=at.host, STOMP_SERVER_STANDBY_PORT=at.port)
    with override_settings(**lead), calling(pubsub.Command(), "/queue/a", f"{HANDLERS}.keep") as running:
        running.wait_for(f"running: on the standby 127.0.0.1:{at.port}, in place of 127.0.0.1:{gone}")


@pytest.mark.long
def test_dead_letters_that_can_not_be_sent_are_told_of_and_when_that_is_over(at: TestBroker) -> None:
    assert isinstance(at.rig, DevRig)
    at.rig.running.faults.refuse_sends("the store is full", "/queue/DLQ.a")
    with calling(pubsub.Command(), "/queue/a", f"{HANDLERS}.refuse") as running:
        running.wait_for("running")
        fill(at, "/queue/a", [b'"bad"'], **{"correlation-id": "1"})
        running.wait_for("dead letters can't be sent to /queue/DLQ.a")
        at.rig.running.faults.clear()
        running.wait_for("That is over, it goes on.")


def test_doubts_about_the_settings_are_said(at: TestBroker) -> None:
    doubtful = override_settings(STOMP_PROCESS_MSG_WORKERS=3, STOMP_PROCESS_MSG_ON_BACKGROUND=False)
    with doubtful, calling(pubsub.Command(), "/queue/a", f"{HANDLERS}.keep") as running:
        running.wait_for("Settings: STOMP_PROCESS_MSG_WORKERS has no effect")


@pytest.mark.slow
def test_a_second_signal_ends_it_at_once(devbroker: TestBroker, tmp_path: Path) -> None:
    fill(devbroker, "/queue/a", [f'"{tmp_path}/never"'.encode()], **{"correlation-id": "1"})
    with processes.start_manage("pubsub", "/queue/a", f"{HANDLERS}.wait", env=environment_of(devbroker)) as process:
        process.wait_for_line("^begun")
        process.signal(signal.SIGTERM)
        process.wait_for_line("^SIGTERM: finishing")
        process.signal(signal.SIGTERM)
        assert process.wait(5) == 128 + signal.SIGTERM


IN_A_THREAD = """
import threading, django
django.setup()
from django.core.management import call_command
thread = threading.Thread(target=call_command, args=("pubsub", "/queue/a", "tests.management.sample.keep"))
thread.start()
import tests.management.sample as sample
assert sample.called.wait(20)
print("the main thread ends", flush=True)
"""


@pytest.mark.slow
def test_one_in_a_thread_ends_with_its_process(devbroker: TestBroker) -> None:
    fill(devbroker, "/queue/a", [b'"1"'], **{"correlation-id": "1"})
    environment = {**environment_of(devbroker), "DJANGO_SETTINGS_MODULE": "stompconsole.project.settings"}
    with processes.start([sys.executable, "-c", IN_A_THREAD], env=environment) as process:
        assert process.wait(20) == 0
        process.wait_for_line("^Ended")


CALLED = """
import os, signal, threading, time, django
django.setup()
from django.core.management import call_command
from stompconsole.management import foreground
foreground.END_LIMIT_S, foreground.SENDERS_LIMIT_S = 0.2, 0.2
import tests.management.sample as sample
threading.Thread(target=lambda: sample.called.wait(20) and os.kill(os.getpid(), signal.SIGTERM)).start()
call_command("pubsub", "/queue/a", "tests.management.sample.keep")
time.sleep(1.5)  # longer than the end may take
print("the process goes on", flush=True)
"""


@pytest.mark.slow
def test_a_process_that_called_it_goes_on_after_its_end(devbroker: TestBroker) -> None:
    fill(devbroker, "/queue/a", [b'"1"'], **{"correlation-id": "1"})
    environment = {
        **environment_of(devbroker, STOMP_GRACEFUL_WAIT_SECONDS="0.5"),
        "DJANGO_SETTINGS_MODULE": "stompconsole.project.settings",
    }
    with processes.start([sys.executable, "-c", CALLED], env=environment) as process:
        process.wait_for_line("^the process goes on")
        assert process.wait(20) == 0


def test_on_a_terminal_progress_is_one_line_that_is_written_anew() -> None:
    clock, out = Clock(), Terminal()
    console = Console(OutputWrapper(out), clock)
    for count in (1, 2, 3):
        clock.now += REWRITE_EVERY_S
        console.progress(f"moved {count}")
    console.say("Moved 3.")
    assert out.getvalue() == "\rmoved 1\x1b[K\rmoved 2\x1b[K\rmoved 3\x1b[K\nMoved 3.\n"


def test_elsewhere_progress_is_a_line_now_and_then() -> None:
    clock, out = Clock(), io.StringIO()
    console = Console(OutputWrapper(out), clock)
    for count in range(12):
        clock.now += LINE_EVERY_S / 4
        console.progress(f"moved {count}")
    console.progress("moved 11")
    assert out.getvalue() == "moved 3\nmoved 7\nmoved 11\n"


def test_progress_that_is_none_is_not_repeated() -> None:
    clock, out = Clock(), io.StringIO()
    console = Console(OutputWrapper(out), clock)
    for _ in range(5):
        clock.now += LINE_EVERY_S
        console.progress("moved 3")
    assert out.getvalue() == "moved 3\n"

"""Ending a consumer: W1 to W4 and W21."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest

from tests.django_stomp.scene import Scene, bodies
from tests.support.brokers import TestBroker
from tests.worker.stage import Stage

pytestmark = pytest.mark.slow

AT_ONCE_S = 10.0
"""Well under the 30 s that a graceful end may take."""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
def test_w01_one_signal_ends_pubsub_with_0(scene: Scene, number: signal.Signals) -> None:
    """There the handler closed the listener, said "Gracefully shutdown successfully", and the loop around it
    reconnected and went on consuming."""
    process = scene.pubsub("take")
    scene.send("first")
    process.wait_for_line("^done first")
    process.signal(number)
    assert process.wait(AT_ONCE_S) == 0
    scene.send("second")
    assert bodies(scene.left(scene.queue, 1)) == ["second"]


def test_w01_sigterm_ends_runworker_with_0(transactional_db: None, any_broker: TestBroker, tmp_path: Path) -> None:
    """There ``pubsub`` was all there was."""
    with Stage(any_broker, tmp_path) as stage:
        worker = stage.worker()
        consumer = stage.consumer("w01")
        stage.wait_for(consumer, "running")
        assert worker.terminate(AT_ONCE_S) == 0


def test_w02_a_message_that_failed_is_not_waited_for_at_the_end(scene: Scene) -> None:
    """There the flag "is processing" stayed up after a failure: "Messages are still being processing, waiting..."
    until the time limit, with nothing running."""
    process = scene.pubsub("fail", STOMP_GRACEFUL_WAIT_SECONDS="30")
    scene.send("bad")
    process.wait_for_line("^failed bad")
    assert bodies(scene.left(scene.dead_letters, 1)) == ["bad"]
    asked_at = time.monotonic()
    assert process.terminate() == 0
    assert time.monotonic() - asked_at < AT_ONCE_S
    assert "still" not in process.text()


def test_w03_what_arrives_during_the_end_is_left_with_the_broker(scene: Scene) -> None:
    """There nothing unsubscribed: the next message was begun while the end waited for the one before."""
    process = scene.pubsub("held_up", STOMP_PROCESS_MSG_WORKERS="1")
    scene.send("a", "b")
    process.wait_for_line("^begun a")
    process.signal(signal.SIGTERM)
    process.wait_for_line("(?i)SIGTERM")
    scene.send("c")
    scene.open_gate("a")
    assert process.wait(AT_ONCE_S) == 0
    assert process.text().count("begun") == 1
    assert bodies(scene.left(scene.queue, 2)) == ["b", "c"]


def test_w04_the_time_for_an_end_may_be_given_as_text_and_is_kept_to(scene: Scene) -> None:
    """There "5" from the environment raised TypeError in the signal handler: the connection was closed in the
    middle of the message, which came again, and the process lived on."""
    process = scene.pubsub("held_up", STOMP_GRACEFUL_WAIT_SECONDS="5")
    scene.send("a")
    process.wait_for_line("^begun a")
    process.signal(signal.SIGTERM)
    process.wait_for_line("(?i)SIGTERM")
    scene.open_gate("a")
    process.wait_for_line("^done a")
    assert process.wait(AT_ONCE_S) == 0
    assert "TypeError" not in process.text()
    assert scene.left(scene.queue, 0) == []


@pytest.mark.parametrize("handler", ["exit_or_take", "exit_or_take_async"])
def test_w21_a_handler_that_calls_exit_makes_a_dead_letter_and_ends_nothing(scene: Scene, handler: str) -> None:
    """There the loop swallowed it: in the foreground it killed the thread that reads, so the connection was lost,
    and in the background nobody heard of it again."""
    process = scene.pubsub(handler, STOMP_PROCESS_MSG_ON_BACKGROUND="false")
    scene.send("exit", "interrupt", "good")
    process.wait_for_line("^done good")
    dead = scene.left(scene.dead_letters, 2)
    assert bodies(dead) == ["exit", "interrupt"]
    assert [letter.headers["stompconsole-error-type"] for letter in dead] == ["SystemExit", "KeyboardInterrupt"]
    assert scene.sessions(process) == 1
    assert process.terminate(AT_ONCE_S) == 0

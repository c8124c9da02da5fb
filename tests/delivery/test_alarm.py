"""Later means later, in order, and never after the end."""

from __future__ import annotations

import threading

import pytest

from stompconsole.delivery.alarm import Alarm


def test_actions_run_in_the_order_they_are_due() -> None:
    alarm, ran, done = Alarm("test"), [], threading.Event()
    alarm.start()
    alarm.after(0.06, lambda: (ran.append("late"), done.set()))
    alarm.after(0.01, lambda: ran.append("early"))
    assert done.wait(5)
    alarm.stop()
    assert ran == ["early", "late"]


def test_an_action_that_fails_does_not_stop_the_next(caplog: pytest.LogCaptureFixture) -> None:
    alarm, done = Alarm("test"), threading.Event()
    alarm.start()
    alarm.after(0.0, lambda: 1 / 0)  # type: ignore[arg-type,return-value]
    alarm.after(0.01, done.set)
    assert done.wait(5)
    alarm.stop()
    assert "an action of test failed" in caplog.text


def test_nothing_runs_once_it_is_stopped() -> None:
    alarm, ran = Alarm("test"), threading.Event()
    alarm.start()
    alarm.after(60.0, ran.set)
    alarm.stop()
    alarm.after(0.0, ran.set)
    assert not ran.is_set()
    assert not any(thread.name == "test" for thread in threading.enumerate())


@pytest.mark.parametrize("delay_s", [float("inf"), 1e12])
def test_what_is_never_due_keeps_nothing_else_from_running(delay_s: float) -> None:
    alarm, done = Alarm("test"), threading.Event()
    alarm.start()
    alarm.after(delay_s, lambda: None)
    threading.Event().wait(0.05)
    alarm.after(0.01, done.set)
    assert done.wait(5)
    alarm.stop()

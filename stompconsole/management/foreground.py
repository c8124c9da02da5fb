"""The foreground: a command that holds one subscription until it is told to stop, or has nothing left to do.

Owns signals, what is said of the subscription, and the end: intake stops, what is in hand finishes within
STOMP_GRACEFUL_WAIT_SECONDS, the rest goes back to the broker. Refuses to know what is done with messages.
"""

from __future__ import annotations

import faulthandler
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from django.core.management.base import BaseCommand, CommandError

from stompconsole.conf import settings_now
from stompconsole.delivery.observer import Switch
from stompconsole.delivery.runner import SubscriptionRunner
from stompconsole.delivery.specs import SubscriptionState
from stompconsole.delivery.status import RunnerStatus
from stompconsole.delivery.whereabouts import WHEREABOUTS
from stompconsole.errors import StompConsoleError
from stompconsole.management.console import Console
from stompconsole.management.news import Change, News
from stompconsole.worker.signals import StopSignals

LOOK_EVERY_S = 0.25
JOIN_EVERY_S = 0.05
END_LIMIT_S = 5.0
SENDERS_LIMIT_S = 2.0


class Errand(Protocol):
    """What a command holds its subscription for."""

    @property
    def trouble(self) -> str:
        """What stands in its way while it goes on all the same, in words; empty when all is well."""

    @property
    def progress(self) -> str:
        """How far it is, in words; empty if there is nothing to say."""

    def is_over(self, status: RunnerStatus) -> bool:
        """Whether it is done, one way or the other. Asked several times a second."""

    def noticed(self, change: Change) -> None:
        """The subscription is in another state now."""

    def stop(self) -> None:
        """Begin nothing new: the end has come."""


class ForegroundCommand(BaseCommand):
    """Base of the commands that work in the foreground. ``stop`` ends one that runs in a thread of its own."""

    # Some of Django's checks ask the database, and fail when it is away: none of this needs it.
    requires_system_checks: list[str] = []

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.news = News()
        self._stopping = False
        self._told = ""
        self._trouble = ""

    def stop(self) -> None:
        """Ask for an orderly end and return at once, as SIGTERM does. From any thread and from a signal handler."""
        self._stopping = True
        self.news.wake()

    @contextmanager
    def in_foreground(self) -> Iterator[Console]:
        """Signals are ours in this block, and errors of ours become a CommandError."""
        WHEREABOUTS.tell(self.news)
        try:
            with self._signals():
                yield Console(self.stdout)
        except StompConsoleError as error:
            raise CommandError(str(error)) from error
        finally:
            WHEREABOUTS.tell_no_more(self.news)

    @contextmanager
    def _signals(self) -> Iterator[None]:
        if threading.current_thread() is not threading.main_thread():
            # Python lets no other thread have them: whoever started this one ends it by stop().
            yield
            return
        limit_s = settings_now().graceful_wait_s + 2 * END_LIMIT_S + SENDERS_LIMIT_S
        try:
            with StopSignals(self.stop, limit_s=limit_s):
                yield
        finally:
            if self._stopping and not getattr(self, "_called_from_command_line", False):
                # It has ended in time, and the process around it goes on.
                faulthandler.cancel_dump_traceback_later()

    def hold(self, runner: SubscriptionRunner, errand: Errand, console: Console) -> None:
        """Run a subscription until its errand is over or the command is told to stop, then end it in good order."""
        runner.start()
        try:
            while not (self._must_end() or errand.is_over(runner.status)):
                if runner.join(0):
                    raise CommandError("The subscription has ended by itself: see the log.")
                self._listen(runner, errand, console, LOOK_EVERY_S)
        finally:
            errand.stop()
            self._end(runner, errand, console)

    def _must_end(self) -> bool:
        # A process that ends waits for its threads: one that holds a subscription must not keep it for ever.
        return self._stopping or not threading.main_thread().is_alive()

    def _listen(self, runner: SubscriptionRunner, errand: Errand, console: Console, timeout_s: float) -> None:
        for item in self.news.wait(timeout_s):
            match item:
                case Change():
                    errand.noticed(item)
                    self._tell(item, runner.status, console)
                case Switch():
                    console.say(f"broker {item.broker}: {item}")
        if errand.trouble != self._trouble:
            self._trouble = errand.trouble
            console.say(self._trouble or "That is over, it goes on.")
        if errand.progress:
            console.progress(errand.progress)

    def _tell(self, change: Change, status: RunnerStatus, console: Console) -> None:
        # On the standby the reason names the place.
        named = change.state is not SubscriptionState.RUNNING or status.endpoint in change.reason
        where = "" if named else f" at {status.endpoint}"
        text = f"{change.state.value}{where}{f': {change.reason}' if change.reason else ''}"
        # A broker that is away is tried again and again: that is said once, and again when the reason is another.
        if text != self._told:
            self._told = text
            console.say(text)

    def _end(self, runner: SubscriptionRunner, errand: Errand, console: Console) -> None:
        wait_s = settings_now().graceful_wait_s
        runner.drain()
        if not self._joined(runner, errand, console, wait_s):
            runner.abort("the time for a graceful end is over")
            console.say(f"What is in hand is not done after {wait_s:g} s: it goes back to the broker.")
            runner.join(END_LIMIT_S)
        self._listen(runner, errand, console, 0.0)

    def _joined(self, runner: SubscriptionRunner, errand: Errand, console: Console, limit_s: float) -> bool:
        deadline = time.monotonic() + limit_s
        while not runner.join(JOIN_EVERY_S):
            if time.monotonic() > deadline:
                return False
            self._listen(runner, errand, console, 0.0)
        return True

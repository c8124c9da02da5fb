"""Commands that take messages out of a destination for good: how many, until when, how far, and what came of it."""

from __future__ import annotations

import math
import time
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from django.core.management.base import CommandError

from stompconsole.delivery.emptiness import Emptiness, Silence, ask
from stompconsole.delivery.pipeline import Work
from stompconsole.delivery.runner import SubscriptionRunner
from stompconsole.delivery.specs import AckMode, BrokerSpec, SubscriptionSpec, SubscriptionState
from stompconsole.delivery.status import RunnerStatus
from stompconsole.delivery.taking import Quota
from stompconsole.management.console import Console
from stompconsole.management.foreground import ForegroundCommand
from stompconsole.management.news import Change

PREFETCH = 500
BATCH = 256

IDLE_S = 2.0
"""How long nothing must come before a queue is taken to be empty. A broker gives what is ready within a round trip,
also after an ACK has made room for it; the rest is for one that collects garbage or reads from its disk."""

ASK_AFTER_S = 0.3
"""When to ask a broker that can tell: our last ACKs have been carried out by then."""

MAX_REFUSALS = 4
"""How often in a row a broker may refuse us before there is no point in going on; one that starts up may at first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What was asked for: how many messages at most, and after how many seconds of silence to end; None for no end."""

    broker: BrokerSpec
    source: str
    limit: int | None
    idle_s: float | None

    def subscription(self) -> SubscriptionSpec:
        """What takes the messages. No more is fetched than may be taken, by a broker that counts messages."""
        return SubscriptionSpec(
            name=self.source,
            broker=self.broker,
            destination=self.source,
            ack_mode=AckMode.CLIENT_INDIVIDUAL,
            threads=1,
            prefetch=min(PREFETCH, self.limit or PREFETCH),
            batch=BATCH,
        )


class TakingWork(Work, Protocol):
    """Work that may find that it can't be done."""

    @property
    def failure(self) -> str:
        """Why there is no point in going on, in words; empty while there is."""

    @property
    def remark(self) -> str:
        """What else there is to say of what came of it, in words."""

    def stop(self) -> None:
        """Begin nothing new."""


class Taking:
    """The errand: until the limit is reached, the source is empty, or there is no point in it."""

    def __init__(self, order: Order, work: TakingWork, quota: Quota, runner: SubscriptionRunner, verb: str) -> None:
        self.failure = ""
        self.losses = 0
        self._order = order
        self._work = work
        self._quota = quota
        self._runner = runner
        self._verb = verb
        self._outcome = "It was told to stop: what is still there is not known."
        self._silence = Silence()
        self._answer: Emptiness | None = None
        self._running = False
        self._began = time.monotonic()

    @property
    def trouble(self) -> str:
        return self._work.trouble

    @property
    def progress(self) -> str:
        of = f" of {self._order.limit:,}" if self._order.limit else ""
        return f"{self._verb} {self._quota.taken:,}{of} messages" if self._quota.taken else ""

    def is_over(self, status: RunnerStatus) -> bool:
        if self._quota.is_fulfilled:
            self._outcome = "That is the limit: what is still there is not known."
            return True
        self.failure = self._work.failure or self._refusal(status)
        if self.failure:
            self._outcome = "The others are where they were."
            return True
        return self._is_empty(status)

    def noticed(self, change: Change) -> None:
        self._silence.break_off()
        self.losses += self._running and change.state is SubscriptionState.BACKING_OFF
        self._running = change.state is SubscriptionState.RUNNING

    def stop(self) -> None:
        self._work.stop()

    def sentences(self, where: str) -> Iterator[str]:
        """What came of it, for whoever reads only the end."""
        seconds = time.monotonic() - self._began
        yield f"{self._verb.capitalize()} {self._quota.taken:,} messages {where} in {seconds:.1f} s. {self._outcome}"
        if self._work.remark:
            yield self._work.remark
        if self.losses or self._quota.repeated:
            times = f"{self.losses} times" if self.losses > 1 else "once"
            yield (
                f"The connection to {self._order.source} was lost {times}: what was {self._verb} but not yet"
                f" acknowledged came again, and was {self._verb} again."
            )

    def _refusal(self, status: RunnerStatus) -> str:
        if reason := self._runner.dialect.refuses(self._order.source):
            return f"{self._order.source}: {reason}"
        return status.reason if status.refusals >= MAX_REFUSALS else ""

    def _is_empty(self, status: RunnerStatus) -> bool:
        silent_s = self._silence.lasted_s(status, self._quota.taken)
        idle_s = self._order.idle_s
        if idle_s is None or silent_s < min(ASK_AFTER_S, idle_s):
            self._answer = None
            return False
        if self._answer is None or silent_s >= idle_s:
            self._answer = ask(self._order.broker, self._order.source, self._runner.dialect)
        if self._answer is not Emptiness.EMPTY and silent_s < idle_s:
            return False
        self._outcome = _in_words(self._answer, idle_s)
        return True


class TakingCommand(ForegroundCommand):
    """Base of the commands that take messages out. ``verb`` is what becomes of them."""

    verb = ""

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--limit", type=_limit, metavar="N", help="End after N messages; never one more is taken.")
        parser.add_argument("--until-empty", action="store_true", help="End when nothing comes any more.")
        parser.add_argument(
            "--idle",
            type=_seconds,
            default=IDLE_S,
            metavar="SECONDS",
            help="For --until-empty: how long nothing must have come (default: %(default)g).",
        )
        parser.add_argument(
            "--broker", metavar="NAME", help="A broker of the admin, in place of the one of the STOMP_* settings."
        )

    def take(self, order: Order, work: Callable[[Quota], TakingWork], where: str, console: Console) -> None:
        """Take messages as ordered, and say what came of it. Raises CommandError when there was no point in it."""
        quota = Quota(order.limit, self.news.wake)
        made = work(quota)
        runner = SubscriptionRunner(order.subscription(), made, self.news)
        taking = Taking(order, made, quota, runner, self.verb)
        try:
            self.hold(runner, taking, console)
        finally:
            for sentence in taking.sentences(where):
                console.say(sentence)
        if taking.failure:
            raise CommandError(taking.failure)


def order(options: dict[str, Any], broker: BrokerSpec, source: str) -> Order:
    """The order that the options of a command make."""
    limit, idle = options.get("limit"), options.get("idle", IDLE_S)
    try:
        return Order(
            broker=broker,
            source=source,
            limit=None if limit is None else _limit(limit),
            idle_s=_seconds(idle) if options.get("until_empty") else None,
        )
    except ArgumentTypeError as error:
        raise CommandError(str(error)) from error


def _in_words(answer: Emptiness, idle_s: float) -> str:
    match answer:
        case Emptiness.EMPTY:
            return "Nothing is left there."
        case Emptiness.NOT_EMPTY:
            return f"Nothing came for {idle_s:g} s, but something is there: another consumer holds it, it seems."
        case Emptiness.UNKNOWN:
            return f"Nothing came for {idle_s:g} s; what another consumer holds is not seen."


def _limit(value: Any) -> int:
    try:
        limit = int(value)
    except (TypeError, ValueError):
        limit = 0
    if limit < 1:
        raise ArgumentTypeError(f"{value!r} is no number of messages: give 1 or more")
    return limit


def _seconds(value: Any) -> float:
    try:
        seconds = float(value)
    except (TypeError, ValueError):
        seconds = math.nan
    if not 0 < seconds <= 3_600:
        raise ArgumentTypeError(f"{value!r} is no number of seconds: give more than 0, up to 3600")
    return seconds

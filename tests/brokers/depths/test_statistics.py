"""The conversation with ActiveMQ's statistics plugin, and with a broker that has none."""

from __future__ import annotations

import time
from collections.abc import Mapping
from concurrent.futures import Future
from typing import Any, cast

import pytest

from stompconsole.brokers.depths import statistics
from stompconsole.brokers.depths.depth import EMPTY, NoAnswer
from stompconsole.transport.frames import Frame
from stompconsole.transport.session import FrameSink, Session
from tests.brokers.depths.test_parsing import STATISTICS


class Plugin:
    """A session with a broker that answers about the queues in ``known``, or about nothing."""

    close_reason = None

    def __init__(self, *known: str, answers: bool = True) -> None:
        self.asked: list[Mapping[str, str]] = []
        self._known = {f"/queue/ActiveMQ.Statistics.Destination.{name}" for name in known}
        self._answers = answers

    def subscribe(self, _id: str, destination: str, ack: str, headers: Mapping[str, str], sink: FrameSink) -> Any:
        assert (destination, ack, dict(headers)) == (statistics.REPLIES, "auto", {})
        self._sink = sink
        return done()

    def request(self, command: str, headers: Mapping[str, str], body: bytes = b"") -> Any:
        assert command == "SEND"
        self.asked.append(headers)
        about = headers["destination"]
        if self._answers and (about in self._known or about == "/queue/ActiveMQ.Statistics.Broker"):
            self._sink(Frame("MESSAGE", {"correlation-id": headers["correlation-id"]}, STATISTICS))
        return done()


def done() -> Future[None]:
    future: Future[None] = Future()
    future.set_result(None)
    return future


def session(plugin: Plugin) -> Session:
    return cast("Session", plugin)


def test_a_queue_it_is_silent_about_is_none_and_nobody_waits_for_it() -> None:
    began = time.monotonic()
    found = statistics.read(session(Plugin("a")), ["/queue/a", "/queue/none"])
    assert found["/queue/a"].waiting == 3
    assert found["/queue/none"] == EMPTY
    assert time.monotonic() - began < 1


def test_without_the_plugin_one_question_is_asked_that_has_an_end_and_the_reason_is_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(statistics, "PROBE_LIMIT_S", 0.1)
    plugin = Plugin(answers=False)
    with pytest.raises(NoAnswer, match="statisticsBrokerPlugin"):
        statistics.read(session(plugin), ["/queue/a"])
    (asked,) = plugin.asked
    assert 0 < int(asked["expires"]) / 1000 - time.time() <= statistics.EXPIRES_AFTER_S


def test_answers_to_somebody_else_are_not_taken_for_ours() -> None:
    class Crowded(Plugin):
        def request(self, command: str, headers: Mapping[str, str], body: bytes = b"") -> Any:
            _, _, name = headers["correlation-id"].partition(" ")
            self._sink(Frame("MESSAGE", {"correlation-id": f"other {name}"}, b"<map/>"))
            return super().request(command, headers, body)

    assert statistics.read(session(Crowded("a")), ["/queue/a"])["/queue/a"].waiting == 3

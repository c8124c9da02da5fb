"""How much waits, asked of Jolokia beside real brokers."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace

import pytest

from stompconsole.brokers.depths import Management
from stompconsole.delivery import depths
from tests.delivery.running import held_on, running, send
from tests.delivery.test_depths import figures, question, read
from tests.support.brokers import TestBroker
from tests.support.jolokia import shown_by_jolokia
from tests.support.pool import tell_out_of_reach
from tests.support.servers import Unavailable
from tests.support.waiting import until

pytestmark = [pytest.mark.broker, pytest.mark.slow]


@pytest.fixture(scope="module", params=["activemq", "activemq6", "artemis"])
def shown(request: pytest.FixtureRequest) -> Iterator[TestBroker]:
    """A broker whose management is asked over HTTP. Those of the run are there, so that they are installed."""
    request.getfixturevalue(request.param)
    try:
        with shown_by_jolokia(request.param) as broker:
            yield broker
    except Unavailable as reason:
        tell_out_of_reach(str(reason))


def test_it_tells_what_waits_what_is_held_and_who_listens(shown: TestBroker, destination: str) -> None:
    send(shown.broker_spec(), destination, [1, 2, 3])
    until(lambda: figures(read(shown, destination)[0])[:3] == (3, 0, 0), 20, "3 wait")
    release, begun = threading.Event(), threading.Event()
    with running(shown.broker_spec(), destination, held_on(release, begun, 1)) as run:
        try:
            assert begun.wait(15)
            until(lambda: figures(read(shown, destination)[0])[:3] == (0, 3, 1), 20, "all are handed out")
        finally:
            release.set()
        run.seen.wait(3)
        until(lambda: figures(read(shown, destination)[0])[:3] == (0, 0, 1), 20, "none is left")


def test_a_queue_that_it_does_not_have_is_empty(shown: TestBroker, destination: str) -> None:
    (depth,) = read(shown, destination)
    assert (depth.waiting, depth.in_flight, depth.reason) == (0, 0, "")


def test_a_wrong_password_is_the_reason(shown: TestBroker, destination: str) -> None:
    wrong = Management(url=shown.management, user="app", password="wrong")
    (found,) = depths.read(replace(question(shown, destination), management=wrong)).values()
    assert "refuses the login of app (401)" in found.reason

"""What counts as a switch: another endpoint than the one before, once, for as long as the definition stays the same."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace

import pytest

from stompconsole.delivery.connecting import open_session
from stompconsole.delivery.observer import Switch
from stompconsole.delivery.specs import BrokerSpec
from stompconsole.delivery.whereabouts import BACK, WHEREABOUTS, Whereabouts
from stompconsole.errors import ConnectFailed
from stompconsole.transport.session import Endpoint, Place
from tests.support.ports import free_port
from tests.transport.scripted import scripted_broker

RABBIT_A = Endpoint(host="rabbit-a", port=61613)
RABBIT_B = Endpoint(host="rabbit-b", port=61613, place=Place.STANDBY)
MAIN = BrokerSpec(name="main", endpoints=(RABBIT_A, RABBIT_B))


class Listening:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.switches: list[Switch] = []

    def switched(self, switch: Switch) -> None:
        self.switches.append(switch)


@pytest.fixture
def where() -> Whereabouts:
    return Whereabouts()


@pytest.fixture
def heard(where: Whereabouts) -> Iterator[list[Switch]]:
    listening = Listening()
    where.tell(listening)
    yield listening.switches
    where.tell_no_more(listening)


def test_the_primary_is_where_sessions_belong(where: Whereabouts, heard: list[Switch]) -> None:
    where.opened(MAIN, RABBIT_A, "")
    assert heard == []


def test_a_start_on_the_standby_is_a_switch(where: Whereabouts, heard: list[Switch]) -> None:
    where.opened(MAIN, RABBIT_B, "refused")
    assert heard == [Switch(broker="main", was=RABBIT_A, now=RABBIT_B, reason="refused")]
    assert str(heard[0]) == "rabbit-b:61613 in place of rabbit-a:61613, because refused"


def test_each_change_is_told_once_however_many_sessions_make_it(where: Whereabouts, heard: list[Switch]) -> None:
    for endpoint in (RABBIT_B, RABBIT_B, RABBIT_B, RABBIT_A, RABBIT_A, RABBIT_B):
        where.opened(MAIN, endpoint, "")
    assert [switch.now for switch in heard] == [RABBIT_B, RABBIT_A, RABBIT_B]
    assert heard[1].reason == BACK


def test_brokers_are_told_apart(where: Whereabouts, heard: list[Switch]) -> None:
    where.opened(MAIN, RABBIT_B, "")
    where.opened(replace(MAIN, name="other"), RABBIT_B, "")
    assert [switch.broker for switch in heard] == ["main", "other"]


def test_a_definition_with_other_endpoints_begins_anew(where: Whereabouts, heard: list[Switch]) -> None:
    where.opened(MAIN, RABBIT_B, "")
    where.opened(replace(MAIN, endpoints=(RABBIT_B, RABBIT_A)), RABBIT_B, "")
    where.opened(replace(MAIN, connect_timeout_s=1.0), RABBIT_B, "")
    assert len(heard) == 1


def test_a_switch_is_a_warning_in_the_log(where: Whereabouts, caplog: pytest.LogCaptureFixture) -> None:
    where.opened(MAIN, RABBIT_B, "refused")
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert record.getMessage() == "broker main: rabbit-b:61613 in place of rabbit-a:61613, because refused"


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_fork_tells_nobody_of_its_parent(where: Whereabouts, heard: list[Switch]) -> None:
    child = os.fork()
    if not child:
        where.opened(MAIN, RABBIT_B, "refused")
        os._exit(len(heard))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    where.opened(MAIN, RABBIT_B, "refused")
    assert len(heard) == 1


def test_whoever_does_not_want_a_session_any_more_tries_no_standby_and_makes_no_switch() -> None:
    listening = Listening()
    gone = Endpoint(host="127.0.0.1", port=free_port())
    WHEREABOUTS.tell(listening)
    with scripted_broker() as standby:
        broker = BrokerSpec(name="tested", endpoints=(gone, replace(standby.endpoint(), place=Place.STANDBY)))
        answers = iter([True, False])
        with pytest.raises(ConnectFailed, match="given up"):
            open_session(broker, wanted=lambda: next(answers))
        answers = iter([True, True, False])
        open_session(broker, wanted=lambda: next(answers)).abort("seen")
    WHEREABOUTS.tell_no_more(listening)
    assert listening.switches == []
